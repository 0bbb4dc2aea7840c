#include "cached/resp.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

enum {
    ARGUMENTS_MAX = 128,
    HEADER_MAX = 24,     /* digits of a number or length, and more than any sane one */
    TEXT_MAX = 64 * 1024 /* a status or an error */
};

/* --- commands --------------------------------------------------------------------------------- */

void
resp_write(struct buf *out, const struct span *arguments, size_t count)
{
    const char *argv[ARGUMENTS_MAX];
    size_t lens[ARGUMENTS_MAX];
    char *command = NULL;
    int len;

    if (count > ARGUMENTS_MAX) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        argv[i] = arguments[i].at != NULL ? arguments[i].at : "";
        lens[i] = arguments[i].len;
    }
    len = redisFormatCommandArgv(&command, (int)count, argv, lens);
    if (len < 0)
        alloc_fail();
    buf_add(out, command, (size_t)len);
    redisFreeCommand(command);
}

/* --- replies ---------------------------------------------------------------------------------- */

/* A struct resp is hiredis' reply; only this file knows. */
static const redisReply *
inner(const struct resp *r)
{
    return (const redisReply *)(const void *)r;
}

static const struct resp *
outer(const redisReply *r)
{
    return (const struct resp *)(const void *)r;
}

enum resp_type
resp_type(const struct resp *r)
{
    if (r == NULL)
        return RESP_NIL;
    switch (inner(r)->type) {
    case REDIS_REPLY_STRING:
        return RESP_STRING;
    case REDIS_REPLY_STATUS:
        return RESP_STATUS;
    case REDIS_REPLY_ERROR:
        return RESP_ERROR;
    case REDIS_REPLY_INTEGER:
        return RESP_INTEGER;
    case REDIS_REPLY_ARRAY:
        return RESP_ARRAY;
    default:
        return RESP_NIL;
    }
}

struct span
resp_bytes(const struct resp *r)
{
    enum resp_type type = resp_type(r);

    if (type != RESP_STRING && type != RESP_STATUS && type != RESP_ERROR)
        return (struct span){"", 0};
    return (struct span){inner(r)->str, inner(r)->len};
}

void
resp_say(const struct resp *r, char *out, size_t size)
{
    struct span bytes = resp_bytes(r);
    size_t len = strlen(out);

    for (size_t i = 0; i < bytes.len && len + 1 < size; i++)
        out[len++] = bytes.at[i] >= ' ' && bytes.at[i] <= '~' ? bytes.at[i] : '?';
    out[len] = '\0';
}

int64_t
resp_integer(const struct resp *r)
{
    return resp_type(r) == RESP_INTEGER ? inner(r)->integer : 0;
}

size_t
resp_count(const struct resp *r)
{
    return resp_type(r) == RESP_ARRAY ? inner(r)->elements : 0;
}

const struct resp *
resp_item(const struct resp *r, size_t i)
{
    return i < resp_count(r) ? outer(inner(r)->element[i]) : NULL;
}

bool
resp_is_error(const struct resp *r, const char *code)
{
    struct span text = resp_bytes(r);
    size_t len = strlen(code);

    return resp_type(r) == RESP_ERROR && text.len >= len && memcmp(text.at, code, len) == 0 &&
           (text.len == len || text.at[len] == ' ');
}

/* --- reading: the screen ---------------------------------------------------------------------- */

enum screen_state { AT_TYPE, IN_LINE, IN_BULK };

struct resp_reader {
    redisReader *reader;
    redisReply *reply; /* the one handed out last */
    bool broken;
    enum screen_state state;
    char type;
    char header[HEADER_MAX]; /* digits of the line being read */
    size_t line_len;
    size_t bulk_left;
    size_t reply_len, reply_items;
    size_t whole; /* replies that hiredis has and has not been asked for */
    size_t depth;
    size_t left[RESP_DEPTH_MAX]; /* items that arrays still want, the outermost first */
};

struct resp_reader *
resp_reader_new(void)
{
    struct resp_reader *r = alloc_zero(1, sizeof *r);

    r->reader = redisReaderCreate();
    if (r->reader == NULL)
        alloc_fail();
    return r;
}

void
resp_reader_free(struct resp_reader *r)
{
    if (r == NULL)
        return;
    if (r->reply != NULL)
        freeReplyObject(r->reply);
    redisReaderFree(r->reader);
    free(r);
}

static void
end_item(struct resp_reader *r)
{
    r->state = AT_TYPE;
    while (r->depth > 0 && --r->left[r->depth - 1] == 0)
        r->depth--;
    if (r->depth > 0)
        return;
    r->reply_len = r->reply_items = 0;
    r->whole++;
}

/* A length of a string or array: -1, or 0 to `max`. */
static bool
read_length(const struct resp_reader *r, long max, long *out)
{
    struct scan s = scan_bytes(r->header, r->line_len);
    uint64_t number;

    if (span_is((struct span){r->header, r->line_len}, "-1")) {
        *out = -1;
        return true;
    }
    if (!scan_number(&s, 9, &number) || !scan_is_done(&s) || number > (uint64_t)max)
        return false;
    *out = (long)number;
    return true;
}

static bool
end_bulk_header(struct resp_reader *r)
{
    long len;

    if (!read_length(r, RESP_BULK_MAX, &len))
        return false;
    if (len < 0) {
        end_item(r);
    } else {
        r->state = IN_BULK;
        r->bulk_left = (size_t)len + 2; /* and CR LF */
    }
    return true;
}

static bool
end_array_header(struct resp_reader *r)
{
    long count;

    if (!read_length(r, RESP_ITEMS_MAX, &count) || r->depth == RESP_DEPTH_MAX)
        return false;
    if (count <= 0) {
        end_item(r);
    } else {
        r->left[r->depth++] = (size_t)count;
        r->state = AT_TYPE;
    }
    return true;
}

/* The line has ended with CR LF, which are not counted. */
static bool
end_line(struct resp_reader *r)
{
    switch (r->type) {
    case '$':
        return end_bulk_header(r);
    case '*':
        return end_array_header(r);
    default:
        end_item(r);
        return true;
    }
}

static bool
take_line_byte(struct resp_reader *r, char c)
{
    bool is_text = r->type == '+' || r->type == '-';

    if (c == '\n') {
        if (r->line_len == 0 ||
            (is_text ? r->header[0] != '\r' : r->header[r->line_len - 1] != '\r'))
            return false;
        r->line_len--;
        return end_line(r);
    }
    if (is_text) { /* of a text only the last byte matters */
        r->header[0] = c;
        return ++r->line_len < TEXT_MAX;
    }
    if (r->line_len == HEADER_MAX)
        return false;
    r->header[r->line_len++] = c;
    return true;
}

static bool
take_type(struct resp_reader *r, char c)
{
    if (c == '\0' || strchr("+-:$*", c) == NULL || ++r->reply_items > RESP_ITEMS_ALL_MAX)
        return false;
    r->type = c;
    r->line_len = 0;
    r->state = IN_LINE;
    return true;
}

/* False when the next `run` bytes of a string should be its CR LF and are not. */
static bool
is_bulk(const struct resp_reader *r, const char *bytes, size_t run)
{
    static const char end[] = "\n\r"; /* by how many bytes are left */

    for (size_t i = r->bulk_left > 2 ? r->bulk_left - 2 : 0; i < run; i++) {
        size_t left = r->bulk_left - i;

        if (left <= 2 && bytes[i] != end[left - 1])
            return false;
    }
    return true;
}

/* True when hiredis' reader may see the bytes. */
static bool
screen(struct resp_reader *r, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (++r->reply_len > RESP_REPLY_MAX)
            return false;
        switch (r->state) {
        case AT_TYPE:
            if (!take_type(r, bytes[i]))
                return false;
            break;
        case IN_LINE:
            if (!take_line_byte(r, bytes[i]))
                return false;
            break;
        case IN_BULK: {
            size_t run = len - i < r->bulk_left ? len - i : r->bulk_left;

            if (!is_bulk(r, bytes + i, run))
                return false;
            r->bulk_left -= run;
            r->reply_len += run - 1;
            i += run - 1;
            if (r->bulk_left == 0)
                end_item(r);
            break;
        }
        }
    }
    return true;
}

bool
resp_feed(struct resp_reader *r, const char *bytes, size_t len)
{
    if (!r->broken && !screen(r, bytes, len))
        r->broken = true;
    if (!r->broken && redisReaderFeed(r->reader, bytes, len) != REDIS_OK)
        r->broken = true;
    return !r->broken;
}

enum resp_status
resp_next(struct resp_reader *r, const struct resp **out)
{
    void *reply = NULL;

    if (r->reply != NULL)
        freeReplyObject(r->reply);
    r->reply = NULL;
    if (!r->broken && r->whole == 0) /* hiredis would look through a half line at each byte */
        return RESP_AGAIN;
    if (r->broken || redisReaderGetReply(r->reader, &reply) != REDIS_OK || reply == NULL) {
        r->broken = true;
        return RESP_BROKEN;
    }
    r->whole--;
    r->reply = reply;
    *out = outer(r->reply);
    return RESP_READY;
}
