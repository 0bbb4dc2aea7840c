/* proto - netstrings ("LEN:bytes,") and the request and reply forms inside them.
 * Requests: NAME SP KEY. Replies: "OK data", "NOTFOUND ", "TEMP reason"; on the control socket
 * "OK JSON" or "ERR code text". */
#ifndef STS_COMMON_PROTO_H
#define STS_COMMON_PROTO_H

#include <stddef.h>

#include "common/buf.h"
#include "common/scan.h"

enum {
    PROTO_REQUEST_MAX = 10000, /* Postfix never asks more */
    PROTO_REPLY_MAX = 100000,  /* Postfix reads no more */
    PROTO_CONTROL_MAX = 16 * 1024 * 1024,
    PROTO_HEAD_MAX = 16 /* room for the digits, ':' and ',' */
};

enum proto_frame { PROTO_PARTIAL, PROTO_FRAME, PROTO_BAD };

/* Looks for one netstring at the start of `bytes`. PROTO_FRAME: `payload` lies inside `bytes` and
 * `*used` bytes may be dropped. PROTO_PARTIAL: more bytes are needed. PROTO_BAD: a length above
 * `max`, a leading zero, no digit, no colon, no comma: nothing sensible can follow. */
enum proto_frame proto_decode(const char *bytes, size_t len, size_t max, struct span *payload,
                              size_t *used);

/* Appends one netstring. */
void proto_encode(struct buf *, const char *payload, size_t len);

/* Splits a request payload at its first space: the name and the key. Without a space the key is
 * empty. */
void proto_split(struct span payload, struct span *name, struct span *key);

#endif
