/* Input: two bytes of how, then what a cache daemon sends on a connection: to client.c as the
 * milter and stsctl use it. Three calls are wrapped (see local.mk): sockspec_connect hands over one
 * end of a socket pair, send makes the daemon answer at the other, recv brings that in pieces. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/answer.h"
#include "common/client.h"
#include "common/proto.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 150 * 1000, ROOM = 1 << 20, ENDS = 1 };

static struct span sent; /* by the daemon, to each request */
static bool ends;        /* and then closed */
static size_t piece;
static int far = -1;

/* --- the seam ----------------------------------------------------------------- */

int __wrap_sockspec_connect(const struct sockspec *spec);
ssize_t __real_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __real_recv(int fd, void *to, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t size, int flags);

int
__wrap_sockspec_connect(const struct sockspec *spec)
{
    int pair[2], room = ROOM;

    (void)spec;
    if (far >= 0)
        close(far);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    far = pair[1];
    REQUIRE(setsockopt(far, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
    return pair[0];
}

ssize_t
__wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    REQUIRE(__real_send(far, sent.at, sent.len, MSG_NOSIGNAL) == (ssize_t)sent.len);
    if (ends)
        REQUIRE(shutdown(far, SHUT_WR) == 0);
    return __real_send(fd, bytes, size, flags);
}

ssize_t
__wrap_recv(int fd, void *to, size_t size, int flags)
{
    return __real_recv(fd, to, size < piece ? size : piece, flags);
}

/* --- the answers ---------------------------------------------------------------- */

/* What is taken for a reply is exactly one frame, at the start of what was sent. */
static void
check_reply(enum client_status status, const struct buf *reply)
{
    struct buf frame;

    if (status != CLIENT_OK) {
        REQUIRE(status == CLIENT_BAD_REPLY || status == CLIENT_TIMEOUT ||
                status == CLIENT_NO_CONNECTION);
        REQUIRE(reply->len == 0);
        return;
    }
    buf_init(&frame, reply->len + PROTO_HEAD_MAX);
    proto_encode(&frame, reply->data, reply->len);
    REQUIRE(!buf_failed(&frame) && reply->len <= ANSWER_MAX);
    REQUIRE(frame.len <= sent.len && memcmp(frame.data, sent.at, frame.len) == 0);
    buf_done(&frame);
}

static void
check_verdict(const struct buf *reply)
{
    struct answer_view view;
    struct scan rest = scan_bytes(buf_string(reply), reply->len);

    if (scan_word(&rest, "OK ") && answer_parse(rest.at, (size_t)(rest.end - rest.at), &view))
        answer_view_done(&view);
}

/* Whatever the first answer was, the next is that of its own question. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sockspec spec;
    struct client *client = client_new(&spec, ANSWER_MAX);
    struct buf reply;

    buf_init(&reply, ANSWER_MAX);
    if (size >= 2 && size < INPUT_MAX) {
        ends = data[0] & ENDS;
        piece = data[1] != 0 ? data[1] : INPUT_MAX;
        sent = (struct span){(const char *)data + 2, size - 2};
        check_reply(client_ask(client, "verdict a.example", 17, 0, &reply), &reply);
        check_verdict(&reply);
        sent = (struct span){"9:NOTFOUND ,", 12};
        REQUIRE(client_ask(client, "postfix b.example", 17, 0, &reply) == CLIENT_OK);
        REQUIRE(reply.len == 9 && memcmp(reply.data, "NOTFOUND ", 9) == 0);
    }
    buf_done(&reply);
    client_free(client);
    return 0;
}
