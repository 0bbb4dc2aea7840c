/* buf - a growing run of bytes that is born with its upper limit.
 * Writers append without looking; an append that would pass the limit sets `failed`, changes
 * nothing, and every later append does nothing too: check buf_failed() once at the end. */
#ifndef STS_COMMON_BUF_H
#define STS_COMMON_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    char *data; /* NUL-terminated once anything was appended; owned */
    size_t len, size, max;
    bool failed;
};

/* Makes an empty buffer that never holds more than `max` bytes. Allocates nothing yet. */
void buf_init(struct buf *, size_t max);
/* Frees the bytes; the buffer is empty and may be used again under the same limit. */
void buf_done(struct buf *);
/* Empties it and clears `failed`, keeping the memory. */
void buf_reset(struct buf *);

void buf_add(struct buf *, const void *bytes, size_t len);
static inline void buf_add_string(struct buf *, const char *s);
static inline void buf_add_char(struct buf *, char c);
void buf_add_number(struct buf *, uint64_t n); /* in decimal */
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *, const char *format, ...);

/* Makes room for `want` more bytes and returns where they go, NULL when that would pass the
 * limit (sets `failed`). The caller writes there, then calls buf_advance. */
static inline char *buf_room(struct buf *, size_t want);
static inline void buf_advance(struct buf *, size_t written);

/* Drops the first `len` bytes (all of them when len >= b->len). */
void buf_consume(struct buf *, size_t len);

/* Writes `n` in decimal, with a NUL; its length. */
enum { BUF_NUMBER_SIZE = 21 };
size_t buf_format_number(char out[BUF_NUMBER_SIZE], uint64_t n);

/* The bytes as a string; "" while empty. Borrowed until the next call that changes the buffer. */
const char *buf_string(const struct buf *);
bool buf_failed(const struct buf *);

/* --- inline: each answer calls these many times ----------------------------------------------- */

/* buf_room() where there is none yet. */
char *buf_grow(struct buf *, size_t want);

static inline char *
buf_room(struct buf *b, size_t want)
{
    bool fits = !b->failed && want < b->size - b->len && want <= b->max - b->len;

    return fits ? b->data + b->len : buf_grow(b, want);
}

static inline void
buf_advance(struct buf *b, size_t written)
{
    b->len += written;
    b->data[b->len] = '\0';
}

static inline void
buf_add_string(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

static inline void
buf_add_char(struct buf *b, char c)
{
    char *to = buf_room(b, 1);

    if (to == NULL)
        return;
    *to = c;
    buf_advance(b, 1);
}

#endif
