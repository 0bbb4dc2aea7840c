/* log - lines for the operator, to syslog (facility mail) or to stderr.
 * error: the operator must act. warning: something is degraded, we go on; the line holds the word
 * "warning" and the domain. info: one line a decision. debug: the way there.
 * Whatever the message holds, only printable ASCII gets out: other bytes become \xNN, and a line
 * never passes LOG_LINE_MAX bytes. May be called from any thread, not from signal handlers. */
#ifndef STS_COMMON_LOG_H
#define STS_COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { LOG_LINE_MAX = 2000 };

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Where lines go: `name` (borrowed for ever) marks them in syslog; `to_stderr` sends them to
 * stderr instead. Lines above `level` are dropped. Before this call: stderr, info. */
void log_open(const char *name, bool to_stderr, enum log_level level);

/* Gathers the info and debug lines that this thread writes to stderr from now on, at most 16 KiB of
 * them: a write for each would cost more than the rest of an answer. Whoever turns it on calls
 * log_flush() whenever the thread is going to wait. A warning or error takes what waits along at
 * once. Lines of other threads may overtake. Turning it off writes what waits. */
void log_gather(bool on);
void log_flush(void);

/* True when a line of this level would be written: guards work done only for the line. */
bool log_wants(enum log_level level);

__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_debug(const char *format, ...);
/* An error line with ": " and the text of errno behind it. */
__attribute__((format(printf, 1, 2))) void log_errno(const char *format, ...);

/* An info line word by word, for the one that every answer costs: printf would take longer to make
 * it than the answer. Only where log_wants(LOG_LEVEL_INFO); between begin and end this thread must
 * log nothing else. What does not fit is cut off. */
struct log_line {
    char *begin, *at, *end;
};
struct log_line log_line_begin(void);
void log_line_end(struct log_line *);
/* As much of the word as there is room for, which is less than all of it. */
void log_line_fill(struct log_line *, const char *word);

static inline void
log_line_add(struct log_line *line, const char *word)
{
    size_t len = strlen(word);

    if (len > (size_t)(line->end - line->at)) {
        log_line_fill(line, word);
        return;
    }
    memcpy(line->at, word, len);
    line->at += len;
}

#endif
