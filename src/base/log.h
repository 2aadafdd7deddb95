// log.h - the application log: one line an event, to stdout or to a rotating file.
//
// A line reads `[time] [request id or --------] [level, 5 wide] [origin] message`.  Any thread may
// log; lines are collected and written when a worker has nothing else to do (log_flush), at once
// from level `warn` upwards.  Secrets are the caller's duty: log_mask() shortens one for display.

#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log;

struct log_options {
    enum log_level level;       // lines below it are not written
    const char *directory;      // NULL: stdout; else `<directory>/main.log`, made 0700
    const char *fallback;       // directory used when `directory` cannot be written, or NULL
    size_t rotate_bytes;        // 0: 10 MiB
    size_t directory_max_bytes; // oldest rotated files go beyond this; 0: keep all
};

// Opens a log on stdout at level info.
struct log *log_new(void);
void log_free(struct log *log);

// Switches destination and level while running.  False (and the old destination stays) when
// neither directory can be written.
bool log_configure(struct log *log, const struct log_options *options);

// The directory that main.log is written in, "" while lines go to stdout.  Not while another thread
// may configure.
const char *log_directory(const struct log *log);

bool log_enabled(const struct log *log, enum log_level level);

// Writes one line.  `request_id` may be NULL, `origin` is `file:line`.  A NULL log swallows it.
void log_write(struct log *log, enum log_level level, const char *origin, const char *request_id,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

// Writes each line of a text as a line of its own; empty ones are left out.
void log_write_lines(struct log *log, enum log_level level, const char *origin, const char *text,
                     size_t len);

// Brings collected lines to their destination, rotates when due.  Cheap when there is nothing.
void log_flush(struct log *log);

// A secret for people's eyes: `abcd...wxyz`, or `***` when it is 8 characters or shorter.
// `out` gets at most `out_size` bytes; returned for convenience.
char *log_mask(const char *secret, size_t len, char *out, size_t out_size);

#define LOG_STRING_(x) #x
#define LOG_STRING(x) LOG_STRING_(x)
#define LOG_ORIGIN LOG_FILE_NAME ":" LOG_STRING(__LINE__)
#ifdef __FILE_NAME__
#define LOG_FILE_NAME __FILE_NAME__
#else
#define LOG_FILE_NAME __FILE__
#endif
#define log_debug(log, ...) log_write(log, LOG_DEBUG, LOG_ORIGIN, NULL, __VA_ARGS__)
#define log_info(log, ...) log_write(log, LOG_INFO, LOG_ORIGIN, NULL, __VA_ARGS__)
#define log_warn(log, ...) log_write(log, LOG_WARN, LOG_ORIGIN, NULL, __VA_ARGS__)
#define log_error(log, ...) log_write(log, LOG_ERROR, LOG_ORIGIN, NULL, __VA_ARGS__)
