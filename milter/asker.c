#include "milter/asker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/client.h"
#include "common/clock.h"
#include "common/log.h"

struct asker {
    struct sockspec cache;
    pthread_mutex_t waiting; /* held by the one callback that waits */

    pthread_mutex_t lock; /* over all that follows */
    struct client *idle[ASKER_IDLE_MAX];
    size_t idle_count;
    bool is_down;
    int64_t retry_at_ms; /* while down: when the next one may try */
};

struct asker *
asker_new(const struct sockspec *cache)
{
    struct asker *a = alloc_zero(1, sizeof *a);

    a->cache = *cache;
    pthread_mutex_init(&a->waiting, NULL);
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void
asker_free(struct asker *a)
{
    if (!a)
        return;
    while (a->idle_count > 0)
        client_free(a->idle[--a->idle_count]);
    pthread_mutex_destroy(&a->waiting);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* A client to ask with; NULL while the daemon is down, except for one caller in ASKER_RETRY_MS. */
static struct client *
take_client(struct asker *a)
{
    struct client *client = NULL;
    bool may_ask = true;

    pthread_mutex_lock(&a->lock);
    if (a->is_down) {
        int64_t now = clock_boot_ms();
        may_ask = now >= a->retry_at_ms;
        if (may_ask)
            a->retry_at_ms = now + ASKER_RETRY_MS;
    }
    if (may_ask && a->idle_count > 0)
        client = a->idle[--a->idle_count];
    pthread_mutex_unlock(&a->lock);
    return client || !may_ask ? client : client_new(&a->cache, ANSWER_MAX);
}

/* Takes the client back, with what it may say in `failure`, and notes how it went; logs when the
 * daemon goes or comes back. One that failed is closed: what still may arrive on it is no answer to
 * the next question. */
static void
give_back(struct asker *a, struct client *client, const char *failure)
{
    bool was_down;

    pthread_mutex_lock(&a->lock);
    was_down = a->is_down;
    a->is_down = failure != NULL;
    if (failure) {
        a->retry_at_ms = clock_boot_ms() + ASKER_RETRY_MS;
    } else if (a->idle_count < ASKER_IDLE_MAX) {
        a->idle[a->idle_count++] = client;
        client = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    if (failure && !was_down) {
        char socket[SOCKSPEC_SIZE];
        sockspec_format(&a->cache, socket);
        log_warning("no verdicts, on-cache-down applies: %s: %s", socket, failure);
    } else if (!failure && was_down) {
        log_info("the cache daemon answers again");
    }
    client_free(client);
}

/* NULL, or why the reply is no verdict on `domain`. */
static const char *
read_reply(const struct buf *reply, const char *domain, struct answer_view *out)
{
    static const char ok[] = "OK ";
    size_t head = sizeof ok - 1;

    if (reply->len < head || memcmp(reply->data, ok, head) != 0 ||
        !answer_parse(reply->data + head, reply->len - head, out))
        return "the cache daemon sent no verdict";
    if (strcmp(out->domain, domain) != 0) {
        answer_view_done(out);
        return "the cache daemon answered for another domain";
    }
    return NULL;
}

static enum client_status
ask_name(struct client *client, const char *name, const struct nexthop *hop, int64_t wait_ms,
         int64_t timeout_ms, struct buf *reply)
{
    bool is_host = hop->kind == NEXTHOP_HOST; /* in brackets: no MX look-up is due */
    char request[sizeof "verdict [] wait=" + DOMAIN_SIZE + 20];

    snprintf(request, sizeof request, "%s %s%s%s wait=%lld", name, is_host ? "[" : "", hop->domain,
             is_host ? "]" : "", (long long)wait_ms);
    return client_ask(client, request, strlen(request), (int)timeout_ms, reply);
}

static const char *
ask_client(struct client *client, const struct nexthop *hop, int64_t wait_ms, int64_t timeout_ms,
           struct answer_view *out)
{
    enum client_status status;
    const char *failure;
    struct buf reply;

    buf_init(&reply, ANSWER_MAX);
    status = ask_name(client, "verdict", hop, wait_ms, timeout_ms, &reply);
    failure =
        status == CLIENT_OK ? read_reply(&reply, hop->domain, out) : client_fault(client, status);
    buf_done(&reply);
    return failure;
}

/* Takes the place of the one who waits, if there is time to wait and the place is free. */
static bool
may_wait(struct asker *a, int64_t budget_ms)
{
    return budget_ms > 0 && pthread_mutex_trylock(&a->waiting) == 0;
}

/* One question; `waits`: the caller has that place, which is given up. */
static bool
ask_once(struct asker *a, const struct nexthop *hop, bool waits, int64_t *budget_ms,
         struct answer_view *out)
{
    int64_t began_ms = clock_boot_ms(), took_ms;
    int64_t wait_ms = waits ? *budget_ms : 0;
    int64_t overdraft_ms = *budget_ms < 0 ? -*budget_ms : 0;
    struct client *client = take_client(a);
    bool answered = false;

    if (client) {
        const char *failure =
            ask_client(client, hop, wait_ms, wait_ms + ASKER_GRACE_MS - overdraft_ms, out);
        answered = failure == NULL;
        give_back(a, client, failure);
    }
    if (waits)
        pthread_mutex_unlock(&a->waiting);
    took_ms = clock_boot_ms() - began_ms;
    if (took_ms > ASKER_PROMPT_MS)
        *budget_ms -= took_ms;
    return answered;
}

static bool
is_undecided(const struct answer_view *view)
{
    return view->verdict == VERDICT_PENDING || view->reason == STS_DEADLINE;
}

/* Of a refusal by probing, what is wrong at each host: known to the daemon by now. Without an
 * answer the refusal stands, but says less. */
static void
ask_causes(struct asker *a, const struct nexthop *hop, struct answer_view *out)
{
    static const char ok[] = "OK ";
    struct client *client;
    enum client_status status;
    struct buf reply;

    if (out->verdict != VERDICT_REFUSE || out->reason != STS_PROBE_FAILED)
        return;
    client = take_client(a);
    if (client == NULL)
        return;
    buf_init(&reply, ANSWER_MAX);
    status = ask_name(client, "probes", hop, 0, ASKER_GRACE_MS, &reply);
    give_back(a, client, status == CLIENT_OK ? NULL : client_fault(client, status));
    if (status == CLIENT_OK && reply.len >= sizeof ok && memcmp(reply.data, ok, sizeof ok - 1) == 0)
        out->probes = alloc_string(buf_string(&reply) + sizeof ok - 1);
    buf_done(&reply);
}

static bool
ask_verdict(struct asker *a, const struct nexthop *hop, int64_t *budget_ms, struct answer_view *out)
{
    bool waits;

    if (*budget_ms <= -ASKER_GRACE_MS)
        return false;
    waits = may_wait(a, *budget_ms);
    if (!ask_once(a, hop, waits, budget_ms, out))
        return false;
    /* The place is often taken only for the blink of a cached answer: then it is worth waiting. */
    if (waits || !is_undecided(out) || !may_wait(a, *budget_ms))
        return true;
    answer_view_done(out);
    return ask_once(a, hop, true, budget_ms, out);
}

bool
asker_ask(struct asker *a, const struct nexthop *hop, int64_t *budget_ms, struct answer_view *out)
{
    if (!ask_verdict(a, hop, budget_ms, out))
        return false;
    ask_causes(a, hop, out);
    return true;
}
