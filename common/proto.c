#include "common/proto.h"

#include <stdbool.h>
#include <string.h>

/* Reads the digits of the length; `*at` ends behind them. */
static enum proto_frame
decode_length(const char *bytes, size_t len, size_t max, size_t *at, size_t *length)
{
    size_t i = 0;

    for (*length = 0; i < len && ascii_is_digit((unsigned char)bytes[i]); i++) {
        *length = *length * 10 + (size_t)(bytes[i] - '0');
        if (*length > max || (i == 1 && bytes[0] == '0'))
            return PROTO_BAD;
    }
    *at = i;
    if (i == len)
        return PROTO_PARTIAL;
    return i > 0 ? PROTO_FRAME : PROTO_BAD;
}

enum proto_frame
proto_decode(const char *bytes, size_t len, size_t max, struct span *payload, size_t *used)
{
    size_t at, length;
    enum proto_frame state = decode_length(bytes, len, max, &at, &length);

    if (state != PROTO_FRAME)
        return state;
    if (bytes[at] != ':')
        return PROTO_BAD;
    at++;
    if (len - at < length + 1)
        return PROTO_PARTIAL;
    if (bytes[at + length] != ',')
        return PROTO_BAD;
    *payload = (struct span){bytes + at, length};
    *used = at + length + 1;
    return PROTO_FRAME;
}

void
proto_encode(struct buf *out, const char *payload, size_t len)
{
    char head[BUF_NUMBER_SIZE];
    size_t head_len = buf_format_number(head, len);
    char *to = buf_room(out, head_len + len + 2);

    if (to == NULL)
        return;
    memcpy(to, head, head_len);
    to[head_len] = ':';
    memcpy(to + head_len + 1, payload, len);
    to[head_len + 1 + len] = ',';
    buf_advance(out, head_len + len + 2);
}

void
proto_split(struct span payload, struct span *name, struct span *key)
{
    const char *space = payload.len ? memchr(payload.at, ' ', payload.len) : NULL;
    const char *end = payload.at + payload.len;

    if (space == NULL) {
        *name = payload;
        *key = (struct span){end, 0};
        return;
    }
    *name = (struct span){payload.at, (size_t)(space - payload.at)};
    *key = (struct span){space + 1, (size_t)(end - space - 1)};
}
