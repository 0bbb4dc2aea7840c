/* command - one request on the control socket as words, and the two forms of its reply.
 * Knows the grammar of control.h, no command. */
#ifndef STS_CACHED_COMMAND_H
#define STS_CACHED_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "cached/control.h"
#include "cached/exitcode.h"
#include "common/buf.h"

/* A domain outside ASCII has up to some 1,000 bytes, and may stand behind a user. */
enum { COMMAND_WORDS_MAX = 6, COMMAND_WORD_SIZE = 1400 };

/* One command, on the stack of control_run: gone when that returns. */
struct command {
    struct control *control;
    control_reply_fn *reply;
    void *arg;
    char words[COMMAND_WORDS_MAX][COMMAND_WORD_SIZE];
    size_t count;
};

/* Splits at blanks. NULL, or why it is none: no word, too many, too long, or with a NUL. */
MUST_CHECK const char *command_read(struct command *, const char *request, size_t len);
/* Takes the word `flag` out; false when it is not there. */
bool command_take_flag(struct command *, const char *flag);
/* Takes the word that begins with `name` ("after=") out and gives what stands behind it. */
bool command_take_value(struct command *, const char *name, char value[COMMAND_WORD_SIZE]);

/* "ERR code text", at once. */
__attribute__((format(printf, 3, 4))) void command_reply_error(struct command *, enum exitcode,
                                                               const char *format, ...);
/* "OK JSON", in two steps: the caller appends one JSON object between them. Sending frees the
 * buffer. */
void command_begin_json(struct buf *);
void command_send_json(struct buf *, control_reply_fn *, void *arg);

#endif
