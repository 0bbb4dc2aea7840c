#include "cached/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/proto.h"
#include "common/scan.h"

const char *
command_read(struct command *c, const char *command, size_t len)
{
    struct scan s = scan_bytes(command, len);

    while (!scan_is_done(&s)) {
        struct span word = scan_until(&s, ' ');
        (void)scan_char(&s, ' ');
        if (word.len == 0)
            continue;
        if (word.len >= COMMAND_WORD_SIZE)
            return "the argument is too long";
        if (c->count == COMMAND_WORDS_MAX || memchr(word.at, '\0', word.len))
            return "not a command";
        memcpy(c->words[c->count], word.at, word.len);
        c->words[c->count++][word.len] = '\0';
    }
    return c->count > 0 ? NULL : "not a command";
}

static void
drop_word(struct command *c, size_t i)
{
    memmove(c->words[i], c->words[i + 1], (c->count - i - 1) * COMMAND_WORD_SIZE);
    c->count--;
}

bool
command_take_flag(struct command *c, const char *flag)
{
    for (size_t i = 1; i < c->count; i++) {
        if (strcmp(c->words[i], flag) == 0) {
            drop_word(c, i);
            return true;
        }
    }
    return false;
}

bool
command_take_value(struct command *c, const char *name, char value[COMMAND_WORD_SIZE])
{
    size_t len = strlen(name);

    for (size_t i = 1; i < c->count; i++) {
        if (strncmp(c->words[i], name, len) == 0) {
            memcpy(value, c->words[i] + len, strlen(c->words[i] + len) + 1);
            drop_word(c, i);
            return true;
        }
    }
    return false;
}

void
command_reply_error(struct command *c, enum exitcode code, const char *format, ...)
{
    char text[COMMAND_WORD_SIZE + 200];
    struct buf out;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_init(&out, PROTO_CONTROL_MAX);
    buf_printf(&out, "ERR %d %s", code, text);
    c->reply(out.data, out.len, c->arg);
    buf_done(&out);
}

void
command_begin_json(struct buf *out)
{
    buf_init(out, PROTO_CONTROL_MAX);
    buf_add_string(out, "OK ");
}

void
command_send_json(struct buf *out, control_reply_fn *reply, void *arg)
{
    static const char too_large[] = "ERR 2 the reply would be too large";

    if (buf_failed(out))
        reply(too_large, sizeof(too_large) - 1, arg);
    else
        reply(out->data, out->len, arg);
    buf_done(out);
}
