/* resp - the bytes of Redis' protocol (RESP2): commands written, replies read, by hiredis'
 * formatter and reader. Knows no sockets. hiredis' reader believes every length that it is told (14
 * bytes can make it allocate 15 GiB), so each byte is screened before it gets there: bulk strings,
 * arrays, depth and the whole reply are bounded. */
#ifndef STS_CACHED_RESP_H
#define STS_CACHED_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/scan.h"

enum {
    RESP_BULK_MAX = 128 * 1024,       /* one string */
    RESP_ITEMS_MAX = 4096,            /* one array */
    RESP_ITEMS_ALL_MAX = 64 * 1024,   /* one whole reply: 4 bytes of it cost us 100 */
    RESP_DEPTH_MAX = 5,               /* arrays in arrays */
    RESP_REPLY_MAX = 16 * 1024 * 1024 /* one whole reply */
};

/* --- commands --- */

/* Appends one command of `count` arguments (any bytes). */
void resp_write(struct buf *out, const struct span *arguments, size_t count);

/* --- replies --- */

enum resp_type { RESP_NIL, RESP_STRING, RESP_STATUS, RESP_ERROR, RESP_INTEGER, RESP_ARRAY };

/* One reply, or one item of an array; borrowed. */
struct resp;
enum resp_type resp_type(const struct resp *);
/* The bytes of a string, status or error; of anything else, empty. */
struct span resp_bytes(const struct resp *);
int64_t resp_integer(const struct resp *); /* of anything but an integer, 0 */
size_t resp_count(const struct resp *);    /* items of an array; of anything else, 0 */
/* Item `i` of an array; NULL when there is none. All resp_* accept NULL, as RESP_NIL. */
const struct resp *resp_item(const struct resp *, size_t i);
/* Appends what resp_bytes gives to the string in `out` as far as it fits, with '?' for all that is
 * not printable ASCII. */
void resp_say(const struct resp *, char *out, size_t size);
/* True for an error whose first word is `code` ("READONLY"). */
bool resp_is_error(const struct resp *, const char *code);

struct resp_reader;
enum resp_status { RESP_AGAIN, RESP_READY, RESP_BROKEN };
struct resp_reader *resp_reader_new(void);
void resp_reader_free(struct resp_reader *);
/* Takes bytes that came. False: they break the protocol or a limit; nothing more can be read. */
MUST_CHECK bool resp_feed(struct resp_reader *, const char *bytes, size_t len);
/* The next whole reply: RESP_READY and `*out`, valid until the next resp_next or resp_feed. */
MUST_CHECK enum resp_status resp_next(struct resp_reader *, const struct resp **out);
#endif
