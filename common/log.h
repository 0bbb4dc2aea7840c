/* log - lines for the operator, to syslog (facility mail) or to stderr.
 * error: the operator must act. warning: something is degraded, we go on; the line holds the word
 * "warning" and the domain. info: one line a decision. debug: the way there.
 * Whatever the message holds, only printable ASCII gets out: other bytes become \xNN, and a line
 * never passes LOG_LINE_MAX bytes. May be called from any thread, not from signal handlers. */
#ifndef STS_COMMON_LOG_H
#define STS_COMMON_LOG_H

#include <stdbool.h>

enum { LOG_LINE_MAX = 2000 };

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Where lines go: `name` (borrowed for ever) marks them in syslog; `to_stderr` sends them to
 * stderr instead. Lines above `level` are dropped. Before this call: stderr, info. */
void log_open(const char *name, bool to_stderr, enum log_level level);

/* True when a line of this level would be written: guards work done only for the line. */
bool log_wants(enum log_level level);

__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_debug(const char *format, ...);
/* An error line with ": " and the text of errno behind it. */
__attribute__((format(printf, 1, 2))) void log_errno(const char *format, ...);

#endif
