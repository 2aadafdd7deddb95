#include "store/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        bytes += done;
        n -= (size_t)done;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

// Makes the new name itself durable.
static void sync_directory(const char *path)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    int fd;

    snprintf(directory, sizeof(directory), "%.*s", slash > path ? (int)(slash - path) : 1,
             slash ? path : ".");
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

static int write_in_place(const char *path, const char *bytes, size_t n, unsigned mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    int result;

    if (fd < 0)
        return -errno;
    fchmod(fd, mode); // some file systems have no modes; the content matters more
    result = write_all(fd, bytes, n);
    close(fd);
    return result;
}

int atomic_write(const char *path, const char *bytes, size_t n, unsigned mode)
{
    size_t size = strlen(path) + 16;
    char *temp = malloc(size);
    int fd, result;

    if (!temp)
        return -ENOMEM;
    snprintf(temp, size, "%s.XXXXXX", path);
    fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        result = -errno;
        free(temp);
        return result == -EROFS || result == -EACCES ? write_in_place(path, bytes, n, mode)
                                                     : result;
    }
    result = fchmod(fd, mode) < 0 ? -errno : write_all(fd, bytes, n);
    close(fd);
    if (result == 0 && rename(temp, path) < 0)
        result = -errno;
    if (result == 0)
        sync_directory(path);
    else
        unlink(temp);
    free(temp);
    if (result == -EBUSY || result == -EXDEV || result == -EPERM)
        return write_in_place(path, bytes, n, mode);
    return result;
}

int atomic_read(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result = 0;
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        close(fd);
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    }
    for (;;) {
        size_t room = out->max - out->len < 65536 ? out->max - out->len : 65536;
        char extra, *to = room ? buf_reserve(out, room) : &extra;
        ssize_t n;

        if (!to) {
            result = -ENOMEM;
            break;
        }
        n = read(fd, to, room ? room : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            result = n < 0 ? -errno : 0;
            break;
        }
        if (room == 0) {
            result = -EFBIG;
            break;
        }
        buf_commit(out, (size_t)n);
    }
    close(fd);
    return result;
}

static int make_directory(const char *path)
{
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode) ? -ENOTDIR : 0;
}

int atomic_mkdirs(const char *path)
{
    char *copy;
    int result = 0;

    if (!*path)
        return -ENOENT;
    copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (char *at = copy + 1; result == 0; at++) {
        char c = *at;

        if (c != '/' && c != '\0')
            continue;
        *at = '\0';
        result = make_directory(copy);
        *at = c;
        if (c == '\0')
            break;
    }
    free(copy);
    return result;
}
