/* fetch_reply - what an HTTP reply must be to carry a policy (RFC 8461 s3.2, s3.3): status 200,
 * text/plain, not encoded, within limits. Is given header lines and body bytes, and refuses as soon
 * as it can. Pure: knows no socket; framing is curl's part. */
#ifndef STS_CACHED_FETCH_REPLY_H
#define STS_CACHED_FETCH_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "cached/source.h"
#include "common/buf.h"

enum { FETCH_HEAD_MAX = 16384 /* all header lines of one transfer, 1xx replies included */ };

struct fetch_reply {
    enum sts_error error; /* OK so far, or why it is refused */
    char detail[SOURCE_DETAIL_SIZE];
    int status; /* 0: no status line yet */
    struct buf body;
    bool head_done; /* the final reply's head came and is good */
    size_t head_bytes;
    bool in_head, has_type, type_is_plain, is_encoded;
    bool is_chunked;
};

void fetch_reply_init(struct fetch_reply *);
void fetch_reply_done(struct fetch_reply *);

/* Takes one line of a head, or of the trailers, with its end. False: refused, stop the transfer. */
MUST_CHECK bool fetch_reply_take_line(struct fetch_reply *, const char *line, size_t len);
/* Takes some bytes of the body. False: refused. */
MUST_CHECK bool fetch_reply_take_body(struct fetch_reply *, const char *bytes, size_t len);

#endif
