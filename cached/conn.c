#include "cached/conn.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cached/replies.h"
#include "cached/settings.h"
#include "cached/turn.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/proto.h"

enum {
    READ_SIZE = 16 * 1024,
    IN_MAX = 2 * READ_SIZE,
    KEPT_EMPTY_MAX = 8 * 1024 /* an empty buffer above it is given back */
};

/* A question under way; its answer waits for those before it. */
struct slot {
    STAILQ_ENTRY(slot) link;
    struct conn *conn;
    struct query_token *token;
    struct map_request request;
    bool done;
    struct buf reply; /* the payload */
};

struct conn {
    struct conn_link link;
    const struct conn_service *service;
    enum conn_kind kind;
    int fd;
    struct event *readable, *writable, *stalled;
    struct turn_item at_end; /* while answers wait for the end of the loop's turn */
    struct buf in, out;
    STAILQ_HEAD(, slot) slots; /* in order of the questions */
    size_t slot_count;
    int64_t now_ms;         /* boot time, read once an event */
    int64_t read_ms;        /* when the bytes taken now arrived */
    enum proto_frame frame; /* what take_frames last came upon */
    short watched;          /* EV_READ, EV_WRITE: the events that are added */
    size_t held;            /* bytes of answers that wait for an earlier one */
    size_t counted;         /* of this client in `unread_bytes` */
    bool moved;             /* a whole frame was taken, or something written */
    bool stall_clock_runs;
    bool eof;      /* the client sends no more */
    bool stopped;  /* we take no more */
    bool draining; /* what has been sent by now is the last that we take */
};

/* --- slots ------------------------------------------------------------------------------------ */

static struct slot *
slot_add(struct conn *c)
{
    struct slot *slot = alloc_zero(1, sizeof *slot);

    slot->conn = c;
    buf_init(&slot->reply, c->kind == CONN_QUERY ? PROTO_REPLY_MAX : PROTO_CONTROL_MAX);
    STAILQ_INSERT_TAIL(&c->slots, slot, link);
    c->slot_count++;
    return slot;
}

static void
slot_free(struct slot *slot)
{
    buf_done(&slot->reply);
    free(slot);
}

static void
slot_finish(struct slot *slot)
{
    slot->done = true;
    slot->conn->held += slot->reply.len;
}

/* Moves the answers that are there, up to the first that is not. */
static void
collect(struct conn *c)
{
    struct slot *slot;

    while ((slot = STAILQ_FIRST(&c->slots)) != NULL && slot->done) {
        STAILQ_REMOVE_HEAD(&c->slots, link);
        c->slot_count--;
        c->held -= slot->reply.len;
        proto_encode(&c->out, buf_string(&slot->reply), slot->reply.len);
        slot_free(slot);
    }
}

/* --- questions ---------------------------------------------------------------------------- */

/* `j` NULL: there was nothing to judge. */
static void
write_reply(const struct conn *c, const struct map_request *request, const struct judgement *j,
            struct buf *out)
{
    replies_write(request, j, c->service->settings, out);
    if (buf_failed(out)) {
        buf_reset(out);
        buf_add_string(out, "TEMP the reply would be too long");
    }
}

static void
fill(struct slot *slot, const struct judgement *j)
{
    write_reply(slot->conn, &slot->request, j, &slot->reply);
    slot_finish(slot);
}

/* Answers a question that has no slot; it takes one only where an earlier answer is not there. */
static void
answer(struct conn *c, const struct map_request *request, const struct judgement *j)
{
    struct buf *reply = c->service->reply;
    struct slot *slot;

    buf_reset(reply);
    write_reply(c, request, j, reply);
    if (STAILQ_EMPTY(&c->slots)) {
        proto_encode(&c->out, buf_string(reply), reply->len);
    } else {
        slot = slot_add(c);
        buf_add(&slot->reply, reply->data, reply->len);
        slot_finish(slot);
    }
}

/* A refusal makes the daemon look whether there is a newer policy. */
static void
recheck(struct conn *c, const struct map_request *request, const struct judgement *j)
{
    if (replies_refuses_host(request, j))
        query_recheck(c->service->engine, request->hop.domain);
}

/* Asks for a request's judgement; true when `j` holds it at once, else `token` names the wait. */
static bool
ask(struct conn *c, const struct map_request *request, struct judgement *j,
    struct query_token **token)
{
    struct question question = {.domain = request->hop.domain,
                                .want_mx = request->want_mx,
                                .needs_mx = request->map == MAP_STS ? replies_list_is_long : NULL,
                                .want_probe = request->want_probe,
                                .host_only = request->hop.kind == NEXTHOP_HOST,
                                .wait_ms = request->wait_ms,
                                .arrived_ms = c->read_ms,
                                .now_ms = c->now_ms};

    return query_ask(c->service->engine, &question, j, token);
}

/* Comes from inside the query engine: the rest of what the client sent waits for the loop. */
static void
on_judged(const struct judgement *j, void *arg)
{
    struct slot *slot = arg;

    slot->token = NULL;
    fill(slot, j);
    event_active(slot->conn->readable, EV_READ, 0);
}

static void
wait_for_judgement(struct conn *c, const struct map_request *request, struct query_token *token)
{
    struct slot *slot = slot_add(c);

    slot->request = *request;
    slot->token = token;
    query_when_done(token, on_judged, slot);
}

static void
take_query(struct conn *c, struct span payload)
{
    struct map_request request;
    struct query_token *token;
    struct judgement j;

    if (!replies_read(payload, &request)) {
        if (request.map != MAP_UNKNOWN)
            query_note_no_domain(c->service->engine, c->read_ms);
        answer(c, &request, NULL);
        return;
    }
    request.want_mx |= replies_needs_mx(&request, c->service->settings);
    if (ask(c, &request, &j, &token)) {
        answer(c, &request, &j);
        recheck(c, &request, &j);
    } else {
        wait_for_judgement(c, &request, token);
    }
}

/* --- commands ----------------------------------------------------------------------------- */

static void
on_control_reply(const char *payload, size_t len, void *arg)
{
    struct slot *slot = arg;

    buf_add(&slot->reply, payload, len);
    if (buf_failed(&slot->reply)) {
        buf_reset(&slot->reply);
        buf_add_string(&slot->reply, "ERR 2 the reply is too long");
    }
    slot_finish(slot);
    event_active(slot->conn->readable, EV_READ, 0);
}

static void
take_command(struct conn *c, struct span payload)
{
    static const char refusal[] = "ERR 77 not permitted: root, the daemon's user or its "
                                  "socket-group only";
    struct slot *slot = slot_add(c);

    if (c->kind == CONN_FORBIDDEN) {
        on_control_reply(refusal, sizeof refusal - 1, slot);
        c->stopped = true;
    } else {
        control_run(c->service->control, payload.at, payload.len, on_control_reply, slot);
    }
}

/* --- bytes -------------------------------------------------------------------------------- */

static size_t
unread(const struct conn *c)
{
    return c->out.len + c->held;
}

static bool
may_take_more(const struct conn *c)
{
    return !c->stopped && c->slot_count < CONN_PIPELINE_MAX && unread(c) < CONN_OUT_HIGH;
}

/* Takes the frames that have arrived. FRAME: as many as there is room for; PARTIAL: all of them;
 * BAD: nothing sensible can follow. */
static enum proto_frame
take_frames(struct conn *c)
{
    enum proto_frame frame = PROTO_FRAME;
    struct span payload;
    size_t used, at = 0;

    while (may_take_more(c) &&
           (frame = proto_decode(buf_string(&c->in) + at, c->in.len - at, PROTO_REQUEST_MAX,
                                 &payload, &used)) == PROTO_FRAME) {
        at += used;
        if (c->kind == CONN_QUERY)
            take_query(c, payload);
        else
            take_command(c, payload);
        collect(c);
    }
    if (at > 0) {
        c->link.active_ms = c->read_ms;
        c->service->on_active(c, c->service->arg);
        c->moved |= c->out.len == 0;
    }
    buf_consume(&c->in, at);
    return frame;
}

/* Reads once, by way of the stack: an idle connection keeps no room for a read. False: the client
 * is gone. */
static bool
read_some(struct conn *c)
{
    char bytes[READ_SIZE];
    size_t room = c->in.max - c->in.len;
    ssize_t n;

    if (room == 0)
        return true; /* full of frames that wait their turn */
    n = read(c->fd, bytes, room < sizeof bytes ? room : sizeof bytes);
    c->read_ms = c->now_ms;
    if (n > 0)
        buf_add(&c->in, bytes, (size_t)n);
    else if (n == 0)
        c->eof = true;
    else if (errno != EAGAIN && errno != EINTR)
        return false;
    return true;
}

/* Writes what is there. False: the client is gone. */
static bool
write_some(struct conn *c)
{
    ssize_t n;

    while (c->out.len > 0) {
        n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        buf_consume(&c->out, (size_t)n);
        c->moved = true;
    }
    return true;
}

/* A client that paused after a long pipeline keeps no room for the next one. */
static void
give_back(struct buf *b)
{
    if (b->len == 0 && b->size > KEPT_EMPTY_MAX)
        buf_done(b);
}

/* Accounts for what the client has not read. False: all clients together leave too much unread, and
 * this one more than its share. */
static bool
is_within_share(struct conn *c)
{
    struct stats *stats = c->service->stats;

    if (c->kind != CONN_QUERY)
        return true; /* few, permitted, and their replies may be long */
    stats->unread_bytes += unread(c) - c->counted;
    c->counted = unread(c);
    return c->out.len == 0 || stats->unread_bytes <= CONN_UNREAD_MAX ||
           c->counted <= CONN_UNREAD_MAX / (stats->connections_open + 1);
}

static void
watch_for(struct conn *c, struct event *event, short kind, bool wanted)
{
    if (wanted == ((c->watched & kind) != 0))
        return;
    c->watched ^= kind;
    if (wanted)
        event_add(event, NULL);
    else
        event_del(event);
}

/* The clock for stalling runs while a frame is half read or answers are not taken, and begins anew
 * only with a whole frame or when some are taken: neither a byte now and then nor asking for more
 * keeps a place. */
static void
watch_stalling(struct conn *c)
{
    struct timeval stall = {.tv_sec = CONN_STALL_S};
    bool may_stall = c->out.len > 0 || (c->in.len > 0 && c->slot_count == 0);

    if (may_stall && (c->moved || !c->stall_clock_runs))
        event_add(c->stalled, &stall);
    else if (!may_stall && c->stall_clock_runs)
        event_del(c->stalled);
    c->stall_clock_runs = may_stall;
    c->moved = false;
}

/* Which events matter now. */
static void
watch(struct conn *c)
{
    give_back(&c->in);
    give_back(&c->out);
    watch_for(c, c->readable, EV_READ, may_take_more(c) && !c->eof);
    watch_for(c, c->writable, EV_WRITE, c->out.len > 0);
    watch_stalling(c);
}

static void
cut_off(struct conn *c)
{
    c->service->stats->connections_stalled++;
    conn_close(c);
}

/* Writes, and goes round while there are whole frames and room for their answers: no event would
 * come for what was read already. */
static void
settle(void *arg)
{
    struct conn *c = arg;
    bool alive = write_some(c);

    while (alive && c->frame == PROTO_FRAME && may_take_more(c)) {
        collect(c);
        c->frame = take_frames(c);
        alive = write_some(c);
    }
    if (c->draining && c->frame == PROTO_PARTIAL)
        c->stopped = true;
    if (c->frame == PROTO_BAD)
        c->service->stats->bad_frames++;
    if (!alive || c->frame == PROTO_BAD || buf_failed(&c->out) ||
        ((c->eof || c->stopped) && c->slot_count == 0 && c->out.len == 0))
        conn_close(c);
    else if (!is_within_share(c))
        cut_off(c);
    else
        watch(c);
}

/* Answers what came. It is written when all who asked in this turn of the loop have been answered.
 */
static void
pump(struct conn *c)
{
    collect(c);
    c->frame = take_frames(c);
    if (c->out.len == 0 || !turn_leave(c->service->turn, &c->at_end))
        settle(c);
}

static void
on_readable(int fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd, (void)what;
    c->now_ms = clock_boot_ms();
    if (may_take_more(c) && !c->eof && !read_some(c))
        conn_close(c);
    else
        pump(c);
}

static void
on_writable(int fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd, (void)what;
    c->now_ms = clock_boot_ms();
    pump(c);
}

static void
on_stalled(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    cut_off(arg);
}

/* --- life --------------------------------------------------------------------------------- */

struct conn *
conn_new(const struct conn_service *service, int fd, enum conn_kind kind)
{
    struct conn *c = alloc_zero(1, sizeof *c);

    c->service = service;
    c->kind = kind;
    c->fd = fd;
    c->link.conn = c;
    c->link.active_ms = clock_boot_ms();
    STAILQ_INIT(&c->slots);
    buf_init(&c->in, IN_MAX);
    buf_init(&c->out, CONN_OUT_MAX);
    c->readable = event_new(service->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(service->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    c->stalled = event_new(service->base, -1, 0, on_stalled, c);
    c->at_end = (struct turn_item){.run = settle, .arg = c};
    watch_for(c, c->readable, EV_READ, true);
    return c;
}

void
conn_close(struct conn *c)
{
    struct slot *slot;

    while ((slot = STAILQ_FIRST(&c->slots)) != NULL) {
        STAILQ_REMOVE_HEAD(&c->slots, link);
        if (slot->token != NULL)
            query_cancel(slot->token);
        else if (c->kind == CONN_CONTROL && !slot->done)
            control_cancel(c->service->control, slot);
        slot_free(slot);
    }
    turn_take_back(c->service->turn, &c->at_end);
    event_free(c->readable);
    event_free(c->writable);
    event_free(c->stalled);
    close(c->fd);
    c->service->stats->unread_bytes -= c->counted;
    buf_done(&c->in);
    buf_done(&c->out);
    c->service->on_closed(c, c->service->arg);
    free(c);
}

void
conn_drain(struct conn *c)
{
    c->draining = true;
    event_active(c->readable, EV_READ, 0);
}

bool
conn_is_idle(const struct conn *c)
{
    return c->slot_count == 0 && c->in.len == 0 && c->out.len == 0;
}

struct conn_link *
conn_link(struct conn *c)
{
    return &c->link;
}
