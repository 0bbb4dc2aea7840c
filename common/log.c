#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static const struct {
    int priority;
    const char *word;
} levels[] = {
    [LOG_LEVEL_ERROR] = {LOG_ERR, "error"},
    [LOG_LEVEL_WARNING] = {LOG_WARNING, "warning"},
    [LOG_LEVEL_INFO] = {LOG_INFO, "info"},
    [LOG_LEVEL_DEBUG] = {LOG_DEBUG, "debug"},
};

static bool to_syslog;
static enum log_level wanted = LOG_LEVEL_INFO;

void
log_open(const char *name, bool to_stderr, enum log_level level)
{
    wanted = level;
    to_syslog = !to_stderr;
    if (to_syslog)
        openlog(name, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

bool
log_wants(enum log_level level)
{
    return level <= wanted;
}

/* Copies `from` to `to` with every byte outside 20-7E as \xNN; stops whole before `size`. */
static void
escape(char *to, size_t size, const char *from)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    for (; *from && n + 5 < size; from++) {
        unsigned char c = (unsigned char)*from;
        if (c >= 0x20 && c <= 0x7e) {
            to[n++] = (char)c;
        } else {
            to[n++] = '\\';
            to[n++] = 'x';
            to[n++] = hex[c >> 4];
            to[n++] = hex[c & 15];
        }
    }
    to[n] = '\0';
}

__attribute__((format(printf, 2, 0))) static void
write_line(enum log_level level, const char *format, va_list args)
{
    char raw[LOG_LINE_MAX], safe[LOG_LINE_MAX], line[LOG_LINE_MAX + 16];
    int len;

    if (!log_wants(level))
        return;
    vsnprintf(raw, sizeof raw, format, args);
    escape(safe, sizeof safe, raw);
    len = snprintf(line, sizeof line, "%s: %s\n", levels[level].word, safe);
    if (to_syslog) {
        line[len - 1] = '\0';
        syslog(levels[level].priority, "%s", line);
    } else if (write(STDERR_FILENO, line, (size_t)len) < 0) {
        return; /* nowhere left to say so */
    }
}

#define DEFINE_LOG(function, level)                                                                \
    void function(const char *format, ...)                                                         \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        write_line(level, format, args);                                                           \
        va_end(args);                                                                              \
    }

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)

void
log_errno(const char *format, ...)
{
    char text[LOG_LINE_MAX];
    const char *cause = strerror(errno);
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_error("%s: %s", text, cause);
}
