#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum {
    DIRECTORY_MAX = 1024,
    PATH_SIZE = DIRECTORY_MAX + 256 + 2, // with any file name
    PENDING_MAX = 1024 * 1024,
    LINE_MAX_BYTES = 16 * 1024,
    ROTATE_DEFAULT = 10 * 1024 * 1024,
    SWEEP_SECONDS = 60
};

#define NEVER (-1e9)

struct log {
    pthread_mutex_t lock;
    enum log_level level; // atomic
    bool dirty;           // atomic: lines are pending
    struct buf pending;
    int fd;               // of the file, or STDOUT_FILENO
    char directory[DIRECTORY_MAX]; // "" for stdout
    size_t written, rotate_bytes, directory_max;
    double swept;
    time_t second; // the second that `stamp` shows
    char stamp[32];
};

struct log *log_new(void)
{
    struct log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    pthread_mutex_init(&log->lock, NULL);
    buf_init(&log->pending, PENDING_MAX);
    log->level = LOG_INFO;
    log->fd = STDOUT_FILENO;
    return log;
}

void log_free(struct log *log)
{
    if (!log)
        return;
    log_flush(log);
    if (log->fd != STDOUT_FILENO)
        close(log->fd);
    buf_deinit(&log->pending);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

// --- files -----------------------------------------------------------------------------------

// Makes a directory and its parents; whether that worked shows when a file is opened there.
static void make_directories(const char *directory)
{
    char path[DIRECTORY_MAX];

    snprintf(path, sizeof(path), "%s", directory);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    mkdir(path, 0700);
}

// Lines hold what users would rather keep to themselves: a file of an older program that others can
// read is closed to them.
static int open_file(const char *directory, size_t *size)
{
    char path[PATH_SIZE];
    struct stat st;
    int fd;

    if (!*directory || strlen(directory) >= DIRECTORY_MAX)
        return -1;
    make_directories(directory);
    snprintf(path, sizeof(path), "%s/main.log", directory);
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0) {
        *size = (size_t)st.st_size;
        if (S_ISREG(st.st_mode) && (st.st_mode & 077))
            fchmod(fd, 0600);
    }
    return fd;
}

// Finds a name main-<UTC time>.log that is free.
static void rotated_name(const char *directory, char *out, size_t size)
{
    int64_t ms = (int64_t)(clock_wall() * 1000);

    do {
        time_t seconds = (time_t)(ms / 1000);
        char stamp[32];
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H-%M-%S", &tm);
        snprintf(out, size, "%s/main-%s.%03d.log", directory, stamp, (int)(ms++ % 1000));
    } while (access(out, F_OK) == 0);
}

// Renames the full file and begins a new one.
static void rotate(struct log *log)
{
    char from[PATH_SIZE], to[PATH_SIZE];
    int fd;

    snprintf(from, sizeof(from), "%s/main.log", log->directory);
    rotated_name(log->directory, to, sizeof(to));
    if (rename(from, to) < 0) {
        log->written = 0; // try again when as much has been written
        return;
    }
    fd = open_file(log->directory, &log->written);
    if (fd < 0)
        return;
    close(log->fd);
    log->fd = fd;
    log->swept = NEVER;
}

static bool is_old_log(const char *name)
{
    size_t len = strlen(name);

    return strcmp(name, "main.log") != 0 && ((len > 4 && strcmp(name + len - 4, ".log") == 0) ||
                                             (len > 7 && strcmp(name + len - 7, ".log.gz") == 0));
}

// Which of two files was changed last; when that is the same, the names tell.
static bool is_older(const struct timespec *a, const char *a_name, const struct timespec *b,
                     const char *b_name)
{
    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec;
    if (a->tv_nsec != b->tv_nsec)
        return a->tv_nsec < b->tv_nsec;
    return strcmp(a_name, b_name) < 0;
}

// Finds the oldest log file but the active one; adds up the size of all.
static bool find_oldest(const char *directory, size_t *total, char *oldest, size_t size)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    struct timespec first = {0};

    *total = 0;
    *oldest = '\0';
    while (dir && (entry = readdir(dir))) {
        char path[PATH_SIZE];
        struct stat st;

        if (strcmp(entry->d_name, "main.log") != 0 && !is_old_log(entry->d_name))
            continue;
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
            continue;
        *total += (size_t)st.st_size;
        if (is_old_log(entry->d_name) &&
            (!*oldest || is_older(&st.st_mtim, path, &first, oldest))) {
            first = st.st_mtim;
            snprintf(oldest, size, "%s", path);
        }
    }
    if (dir)
        closedir(dir);
    return *oldest;
}

static void sweep(struct log *log)
{
    char oldest[PATH_SIZE];
    size_t total;

    while (log->directory_max > 0 &&
           find_oldest(log->directory, &total, oldest, sizeof(oldest)) &&
           total > log->directory_max)
        if (unlink(oldest) < 0)
            return;
}

bool log_configure(struct log *log, const struct log_options *options)
{
    const char *directory = options->directory;
    size_t size = 0;
    int fd = STDOUT_FILENO;

    log_flush(log);
    if (directory) {
        fd = open_file(directory, &size);
        if (fd < 0 && options->fallback) {
            directory = options->fallback;
            fd = open_file(directory, &size);
        }
        if (fd < 0)
            return false;
    }
    pthread_mutex_lock(&log->lock);
    if (log->fd != STDOUT_FILENO)
        close(log->fd);
    log->fd = fd;
    snprintf(log->directory, sizeof(log->directory), "%s", directory ? directory : "");
    log->written = size;
    log->rotate_bytes = options->rotate_bytes ? options->rotate_bytes : ROTATE_DEFAULT;
    log->directory_max = options->directory_max_bytes;
    log->swept = NEVER;
    pthread_mutex_unlock(&log->lock);
    __atomic_store_n(&log->level, options->level, __ATOMIC_RELAXED);
    return true;
}

const char *log_directory(const struct log *log)
{
    return log->directory;
}

// --- lines -----------------------------------------------------------------------------------

bool log_enabled(const struct log *log, enum log_level level)
{
    return log && level >= __atomic_load_n(&log->level, __ATOMIC_RELAXED);
}

// Writes what is pending.  A destination that takes nothing loses lines rather than time.
static void write_pending(struct log *log)
{
    while (log->pending.len > 0) {
        ssize_t n = write(log->fd, log->pending.data, log->pending.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        log->written += (size_t)n;
        buf_consume(&log->pending, (size_t)n);
    }
    buf_clear(&log->pending);
    __atomic_store_n(&log->dirty, false, __ATOMIC_RELAXED);
    if (*log->directory && log->written >= log->rotate_bytes)
        rotate(log);
    if (*log->directory && clock_mono() - log->swept > SWEEP_SECONDS) {
        log->swept = clock_mono();
        sweep(log);
    }
}

void log_flush(struct log *log)
{
    if (!log || !__atomic_load_n(&log->dirty, __ATOMIC_RELAXED))
        return;
    pthread_mutex_lock(&log->lock);
    write_pending(log);
    pthread_mutex_unlock(&log->lock);
}

static bool is_c1(const char *text)
{
    return (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] >> 5 == 4;
}

// What a terminal obeys: C0 controls, DEL, and C1 controls in UTF-8.
static bool is_control(const char *text, size_t i, size_t len)
{
    unsigned char c = (unsigned char)text[i];

    return c < ' ' || c == 0x7f || (i + 1 < len && is_c1(text + i)) ||
           (i > 0 && is_c1(text + i - 1));
}

// Keeps a line one line: control characters are shown as \n, \t or \xNN.
static void append_escaped(struct buf *out, const char *text, size_t len)
{
    size_t plain = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!is_control(text, i, len))
            continue;
        buf_append(out, text + plain, i - plain);
        if (c == '\n' || c == '\t')
            buf_puts(out, c == '\n' ? "\\n" : "\\t");
        else
            buf_printf(out, "\\x%02x", (unsigned char)c);
        plain = i + 1;
    }
    buf_append(out, text + plain, len - plain);
}

static const char *stamp_of(struct log *log)
{
    time_t now = time(NULL);
    struct tm tm;

    if (now != log->second) {
        localtime_r(&now, &tm);
        strftime(log->stamp, sizeof(log->stamp), "%Y-%m-%d %H:%M:%S", &tm);
        log->second = now;
    }
    return log->stamp;
}

void log_write(struct log *log, enum log_level level, const char *origin, const char *request_id,
               const char *format, ...)
{
    static const char *const names[] = {"debug", "info ", "warn ", "error"};
    char message[LINE_MAX_BYTES];
    va_list args;
    int len;

    if (!log_enabled(log, level))
        return;
    va_start(args, format);
    len = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (len < 0)
        return;
    if ((size_t)len >= sizeof(message))
        len = (int)sizeof(message) - 1;
    pthread_mutex_lock(&log->lock);
    if (log->pending.len > PENDING_MAX / 2)
        write_pending(log);
    buf_printf(&log->pending, "[%s] [%s] [%s] [%s] ", stamp_of(log),
               request_id ? request_id : "--------", names[level], origin);
    append_escaped(&log->pending, message, (size_t)len);
    buf_putc(&log->pending, '\n');
    __atomic_store_n(&log->dirty, true, __ATOMIC_RELAXED);
    if (level >= LOG_WARN)
        write_pending(log);
    pthread_mutex_unlock(&log->lock);
}

void log_write_lines(struct log *log, enum log_level level, const char *origin, const char *text,
                     size_t len)
{
    const char *end = text + len;

    while (len > 0 && text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));

        stop = stop ? stop : end;
        if (stop > text)
            log_write(log, level, origin, NULL, "%.*s", (int)(stop - text), text);
        text = stop + 1;
    }
}

char *log_mask(const char *secret, size_t len, char *out, size_t out_size)
{
    if (len <= 8)
        snprintf(out, out_size, "***");
    else
        snprintf(out, out_size, "%.4s...%.4s", secret, secret + len - 4);
    return out;
}
