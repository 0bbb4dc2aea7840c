#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum { LOG_GATHER_SIZE = 16 * 1024 };

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

/* Lines of the thread that gathers, which wait to be written together. */
static __thread struct {
    bool on;
    size_t len;
    char bytes[LOG_GATHER_SIZE];
} gathered;

void
log_gather(bool on)
{
    log_flush();
    gathered.on = on;
}

static void
write_out(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, bytes, len);
        if (n <= 0)
            return; /* nowhere left to say so */
        bytes += n;
        len -= (size_t)n;
    }
}

void
log_flush(void)
{
    size_t len = gathered.len;

    gathered.len = 0;
    write_out(gathered.bytes, len);
}

/* True when all bytes are 20-7E. Looks at eight at a time: above 7E adding one, below 20 taking 20
 * sets a byte's highest bit (or that of its neighbour too). */
static bool
is_printable(const char *bytes, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t eight, bad = 0;

    for (; len >= sizeof eight; bytes += sizeof eight, len -= sizeof eight) {
        memcpy(&eight, bytes, sizeof eight);
        bad |= eight | (eight + ones) | (eight - 0x20 * ones);
    }
    eight = 0x20 * ones;
    memcpy(&eight, bytes, len);
    bad |= eight | (eight + ones) | (eight - 0x20 * ones);
    return (bad & 0x80 * ones) == 0;
}

/* Copies `from` to `to` with every byte outside 20-7E as \xNN; stops whole before `size`. Returns
 * the length. */
static size_t
escape(char *to, size_t size, const char *from, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    for (size_t i = 0; i < len && n + 5 < size; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c >= 0x20 && c <= 0x7e) {
            to[n++] = (char)c;
        } else {
            to[n++] = '\\';
            to[n++] = 'x';
            to[n++] = hex[c >> 4];
            to[n++] = hex[c & 15];
        }
    }
    return n;
}

/* --- one line --------------------------------------------------------------------------------- */

/* Where lines wait to be written is where a line is put together, gathered or not. */
static struct log_line
begin(enum log_level level)
{
    struct log_line line;

    if (sizeof gathered.bytes - gathered.len < LOG_LINE_MAX + 1)
        log_flush();
    line.begin = line.at = gathered.bytes + gathered.len;
    line.end = line.begin + LOG_LINE_MAX;
    log_line_add(&line, levels[level].word);
    log_line_add(&line, ": ");
    return line;
}

void
log_line_fill(struct log_line *line, const char *word)
{
    size_t room = (size_t)(line->end - line->at);

    memcpy(line->at, word, room);
    line->at += room;
}

/* The line without its newline; its length. */
static size_t
make_printable(struct log_line *line)
{
    size_t len = (size_t)(line->at - line->begin);
    char raw[LOG_LINE_MAX];

    if (is_printable(line->begin, len))
        return len;
    memcpy(raw, line->begin, len);
    return escape(line->begin, LOG_LINE_MAX, raw, len);
}

/* What the operator must see soon does not wait. */
static void
finish(enum log_level level, struct log_line *line)
{
    size_t len = make_printable(line);

    if (to_syslog) {
        syslog(levels[level].priority, "%.*s", (int)len, line->begin);
        return;
    }
    line->begin[len++] = '\n';
    gathered.len += len;
    if (!gathered.on || level <= LOG_LEVEL_WARNING)
        log_flush();
}

struct log_line
log_line_begin(void)
{
    return begin(LOG_LEVEL_INFO);
}

void
log_line_end(struct log_line *line)
{
    finish(LOG_LEVEL_INFO, line);
}

__attribute__((format(printf, 2, 0))) static void
write_line(enum log_level level, const char *format, va_list args)
{
    char text[LOG_LINE_MAX];
    struct log_line line;

    if (!log_wants(level))
        return;
    vsnprintf(text, sizeof text, format, args);
    line = begin(level);
    log_line_add(&line, text);
    finish(level, &line);
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
