#include "common/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

enum { FIRST_SIZE = 64 };

void
buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void
buf_done(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void
buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data != NULL)
        b->data[0] = '\0';
}

char *
buf_grow(struct buf *b, size_t want)
{
    size_t size = b->size ? b->size : FIRST_SIZE;

    if (b->failed || want > b->max - b->len) {
        b->failed = true;
        return NULL;
    }
    while (size < b->len + want + 1)
        size *= 2;
    if (size != b->size) {
        b->data = alloc_resize(b->data, size);
        b->size = size;
    }
    return b->data + b->len;
}

void
buf_add(struct buf *b, const void *bytes, size_t len)
{
    char *to = buf_room(b, len);

    if (to == NULL)
        return;
    if (len)
        memcpy(to, bytes, len);
    buf_advance(b, len);
}

size_t
buf_format_number(char out[BUF_NUMBER_SIZE], uint64_t n)
{
    size_t len = 1;

    for (uint64_t rest = n; rest >= 10; rest /= 10)
        len++;
    out[len] = '\0';
    for (size_t i = len; i > 0; i--, n /= 10)
        out[i - 1] = (char)('0' + n % 10);
    return len;
}

void
buf_add_number(struct buf *b, uint64_t n)
{
    char digits[BUF_NUMBER_SIZE];

    buf_add(b, digits, buf_format_number(digits, n));
}

/* Into the room that is there; again, into enough, when it was too small. */
void
buf_printf(struct buf *b, const char *format, ...)
{
    size_t room = b->failed ? 0 : b->size - b->len;
    char *here = room > 0 ? b->data + b->len : NULL;
    va_list args, again;
    int len;
    char *to;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(here, room, format, args);
    to = len < 0 ? NULL : buf_room(b, (size_t)len);
    if (to != NULL) {
        if ((size_t)len >= room)
            vsnprintf(to, (size_t)len + 1, format, again);
        buf_advance(b, (size_t)len);
    } else if (here != NULL) {
        *here = '\0'; /* nothing was added, and nothing moved */
    }
    va_end(again);
    va_end(args);
}

void
buf_consume(struct buf *b, size_t len)
{
    if (len >= b->len) {
        b->len = 0;
    } else {
        memmove(b->data, b->data + len, b->len - len);
        b->len -= len;
    }
    if (b->data != NULL)
        b->data[b->len] = '\0';
}

const char *
buf_string(const struct buf *b)
{
    return b->data != NULL ? b->data : "";
}

bool
buf_failed(const struct buf *b)
{
    return b->failed;
}
