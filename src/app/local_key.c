#include "app/local_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings.h"
#include "base/buf.h"
#include "store/atomic.h"

size_t local_key_directories(const struct config *config, char out[2][LOCAL_KEY_PATH])
{
    char *auth = config_expand_path(config, "auth-dir");
    char base[1024];
    size_t count = 0;

    settings_base(config, base, sizeof(base));
    snprintf(out[count++], LOCAL_KEY_PATH, "%s/data", base);
    if (auth && *auth)
        snprintf(out[count++], LOCAL_KEY_PATH, "%.1100s/data", auth);
    free(auth);
    return count;
}

static bool make_key(char key[LOCAL_KEY_SIZE])
{
    unsigned char bytes[(LOCAL_KEY_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(key + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

// A new file takes the place of what is there, a link for instance.  It need not survive a power
// cut, so nothing waits for the disk.
static int write_key(const char *path, const char *key)
{
    char temp[LOCAL_KEY_PATH + 16], line[LOCAL_KEY_SIZE + 1];
    int fd, len, result = 0;

    snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
    len = snprintf(line, sizeof(line), "%s\n", key);
    fd = mkostemp(temp, O_CLOEXEC); // 0600
    if (fd < 0)
        return -errno;
    if (write(fd, line, (size_t)len) != len)
        result = errno ? -errno : -EIO;
    close(fd);
    if (result == 0 && rename(temp, path) < 0)
        result = -errno;
    if (result < 0)
        unlink(temp);
    explicit_bzero(line, sizeof(line));
    return result;
}

void local_key_create(char key[LOCAL_KEY_SIZE], char path[LOCAL_KEY_PATH],
                      const struct config *config, int port, struct log *log)
{
    char directories[2][LOCAL_KEY_PATH];
    size_t count = local_key_directories(config, directories);
    int result = -EIO;

    for (size_t i = 0; i < count && make_key(key); i++) {
        snprintf(path, LOCAL_KEY_PATH, "%.1150s/local-key-%d", directories[i], port);
        result = atomic_mkdirs(directories[i]);
        if (result == 0)
            result = write_key(path, key);
        if (result == 0)
            return;
    }
    log_warn(log, "no key for local commands such as `explain` can be written to %s: %s",
             directories[0], strerror(-result));
    *key = *path = '\0';
}

int local_key_read(const char *path, char key[LOCAL_KEY_SIZE])
{
    struct buf text;
    int result;

    buf_init(&text, 1024);
    result = atomic_read(path, &text);
    if (result == 0 && (text.len != LOCAL_KEY_SIZE || text.data[text.len - 1] != '\n' ||
                        strspn(buf_cstr(&text), "0123456789abcdef") != LOCAL_KEY_SIZE - 1))
        result = -EINVAL;
    if (result == 0)
        snprintf(key, LOCAL_KEY_SIZE, "%s", text.data);
    buf_deinit(&text);
    return result;
}

void local_key_remove(const char *key, const char *path)
{
    char there[LOCAL_KEY_SIZE];

    if (*path && local_key_read(path, there) == 0 && strcmp(there, key) == 0)
        unlink(path);
}
