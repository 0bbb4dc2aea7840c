#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache_redis_job.h"
#include "cached/table.h"
#include "common/chance.h"
#include "common/clock.h"

enum {
    SIGHTS = 256,
    NONCE_DIGITS = 16,
    SPARE_MS = 20,         /* after a lock has run out */
    JITTER_MS = 50,        /* so that not all waiters come at once */
    AHEAD_US = 5000 * 1000 /* by which the clock of the node that signed may have been ahead */
};

#define SEQ_MAX UINT64_C(999999999999999999) /* what a record can hold */

/* A lock of ours. */
struct held {
    struct table_link link;
    struct held *next, **to_me;
    struct cache_redis *cr;
    struct event *timer;
    int64_t since_ms; /* boot time */
    char domain[DOMAIN_SIZE];
    char token[LOCK_TOKEN_SIZE];
};

/* A lock that nobody of the farm can be seen to hold. */
struct sight {
    char domain[DOMAIN_SIZE];
    int64_t first_ms; /* boot time */
};

struct lock_book {
    struct table *table; /* of struct held */
    struct held *all;
    struct sight sights[SIGHTS];
};

static const char *
domain_of_link(const struct table_link *link)
{
    return ((const struct held *)link)->domain;
}

struct lock_book *
lock_book_new(void)
{
    struct lock_book *book = alloc_zero(1, sizeof *book);

    book->table = table_new(domain_of_link);
    return book;
}

static struct held *
find_held(const struct cache_redis *cr, const char *domain)
{
    return (struct held *)table_find(cr->locks->table, domain);
}

static void
drop_held(struct lock_book *book, struct held *held)
{
    table_remove(book->table, &held->link);
    *held->to_me = held->next;
    if (held->next != NULL)
        held->next->to_me = held->to_me;
    event_free(held->timer);
    free(held);
}

void
lock_book_free(struct lock_book *book)
{
    while (book->all != NULL)
        drop_held(book, book->all);
    table_free(book->table);
    free(book);
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* What is signed; `seq_and_nonce` as they stand in the token. */
static void
token_text(const char *domain, struct span seq, struct span nonce, struct buf *out)
{
    buf_printf(out, "lock\n%s\n%.*s\n%.*s", domain, (int)seq.len, seq.at, (int)nonce.len, nonce.at);
}

static void
token_make(const struct cache_redis *cr, const char *domain, char token[LOCK_TOKEN_SIZE])
{
    char seq[24], nonce[NONCE_DIGITS + 1], mac[FARM_MAC_DIGITS];
    struct buf text;

    snprintf(seq, sizeof seq, "%" PRIu64, cache_redis_now_us(cr));
    snprintf(nonce, sizeof nonce, "%0*" PRIx64, NONCE_DIGITS, chance_below(UINT64_MAX));
    buf_init(&text, 2 * DOMAIN_SIZE);
    token_text(domain, (struct span){seq, strlen(seq)}, (struct span){nonce, NONCE_DIGITS}, &text);
    farm_key_sign(cr->key, text.data, text.len, mac);
    snprintf(token, LOCK_TOKEN_SIZE, "%s.%s.%.*s", seq, nonce, (int)sizeof mac, mac);
    buf_done(&text);
}

static bool
is_hex(unsigned char c)
{
    return ascii_is_digit(c) || (c >= 'a' && c <= 'f');
}

/* True for a token that the farm signed for this domain; `*seq` is the time in it. */
static bool
token_read(const struct cache_redis *cr, const char *domain, struct span token, uint64_t *seq)
{
    struct scan at = scan_bytes(token.at, token.len);
    struct span digits = {token.at, 0}, nonce, mac;
    struct buf text;
    bool sound;

    if (!scan_number(&at, 18, seq))
        return false;
    digits.len = (size_t)(at.at - token.at);
    if (!scan_char(&at, '.'))
        return false;
    nonce = scan_while(&at, is_hex, NONCE_DIGITS);
    if (nonce.len != NONCE_DIGITS || !scan_char(&at, '.'))
        return false;
    mac = scan_while(&at, is_hex, FARM_MAC_DIGITS);
    if (mac.len != FARM_MAC_DIGITS || !scan_is_done(&at))
        return false;
    buf_init(&text, 2 * DOMAIN_SIZE);
    token_text(domain, digits, nonce, &text);
    sound = farm_key_verify(cr->key, text.data, text.len, mac.at);
    buf_done(&text);
    return sound;
}

/* --- locks that nobody can be seen to hold ---------------------------------------------------- */

static struct sight *
find_sight(struct lock_book *book, const char *domain)
{
    for (size_t i = 0; i < SIGHTS; i++) {
        if (strcmp(book->sights[i].domain, domain) == 0)
            return &book->sights[i];
    }
    return NULL;
}

static void
forget_sight(struct lock_book *book, const char *domain)
{
    struct sight *sight = find_sight(book, domain);

    if (sight != NULL)
        *sight = (struct sight){.first_ms = 0};
}

static struct sight *
oldest_sight(struct lock_book *book)
{
    struct sight *oldest = &book->sights[0];

    for (size_t i = 0; i < SIGHTS; i++) {
        if (book->sights[i].domain[0] == '\0')
            return &book->sights[i];
        if (book->sights[i].first_ms < oldest->first_ms)
            oldest = &book->sights[i];
    }
    return oldest;
}

/* How long such a lock is still to be respected. Where so many are about that the table has no
 * room, none is: somebody floods us. */
static int64_t
sight_left_ms(struct lock_book *book, const char *domain)
{
    int64_t now_ms = clock_boot_ms(), left;
    struct sight *sight = find_sight(book, domain);

    if (sight == NULL) {
        sight = oldest_sight(book);
        if (sight->domain[0] != '\0' && now_ms - sight->first_ms < CACHE_REDIS_LOCK_MS)
            return 0;
        snprintf(sight->domain, sizeof sight->domain, "%s", domain);
        sight->first_ms = now_ms;
    }
    left = sight->first_ms + CACHE_REDIS_LOCK_MS - now_ms;
    return left > 0 ? left : 0;
}

/* --- renewing --------------------------------------------------------------------------------- */

struct token_job {
    struct cache_redis_job job;
    char token[LOCK_TOKEN_SIZE];
};

static void
on_renewed(struct cache_redis_job *job, const struct resp *reply)
{
    struct held *held = find_held(job->cr, job->domain);

    if (held != NULL && strcmp(held->token, ((struct token_job *)job)->token) == 0 &&
        resp_integer(job_item(reply, 0)) != 1)
        drop_held(job->cr->locks, held);
    job_end(job);
    job_free(job);
}

static void
renew(struct cache_redis *cr, const char *domain, const char *token)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct token_job), domain, on_renewed);
    struct token_job *renewal = (struct token_job *)job;
    struct script_call call;

    snprintf(renewal->token, sizeof renewal->token, "%s", token);
    job_begin(job, SCRIPT_RENEW, 1, &call);
    job_key(job, &call, "l:");
    script_string(&call, renewal->token);
    job_send(job, &call, 0);
}

static void
on_renewal_due(int fd, short what, void *arg)
{
    struct held *held = arg;

    (void)fd, (void)what;
    if (clock_boot_ms() - held->since_ms >= held->cr->held_max_ms)
        drop_held(held->cr->locks, held); /* the others no longer respect it */
    else
        renew(held->cr, held->domain, held->token);
}

static void
hold(struct cache_redis *cr, const char *domain, const char *token)
{
    struct held *held = find_held(cr, domain);

    if (held != NULL && strcmp(held->token, token) == 0)
        return;
    if (held != NULL)
        drop_held(cr->locks, held);
    held = alloc_zero(1, sizeof *held);
    held->cr = cr;
    held->since_ms = clock_boot_ms();
    snprintf(held->domain, sizeof held->domain, "%s", domain);
    snprintf(held->token, sizeof held->token, "%s", token);
    held->timer = event_new(cr->base, -1, EV_PERSIST, on_renewal_due, held);
    event_add(held->timer, &(struct timeval){.tv_sec = CACHE_REDIS_RENEW_MS / 1000});
    held->next = cr->locks->all;
    held->to_me = &cr->locks->all;
    if (held->next != NULL)
        held->next->to_me = &held->next;
    cr->locks->all = held;
    table_add(cr->locks->table, &held->link);
}

/* --- giving up -------------------------------------------------------------------------------- */

void
lock_leave(struct cache_redis *cr, const char *domain, char token[LOCK_TOKEN_SIZE])
{
    struct held *held = find_held(cr, domain);

    token[0] = '\0';
    if (held == NULL)
        return;
    snprintf(token, LOCK_TOKEN_SIZE, "%s", held->token);
    drop_held(cr->locks, held);
}

static void
on_removed(struct cache_redis_job *job, const struct resp *reply)
{
    (void)reply;
    job_end(job);
    job_free(job);
}

void
lock_remove(struct cache_redis *cr, const char *domain, const char *token, bool tell)
{
    struct cache_redis_job *job = job_new(cr, sizeof *job, domain, on_removed);
    struct script_call call;

    job_begin(job, SCRIPT_UNLOCK, 1, &call);
    job_key(job, &call, "l:");
    job_key(job, &call, "e");
    script_string(&call, token);
    script_string(&call, domain);
    script_string(&call, tell ? "1" : "0");
    job_send(job, &call, 0);
}

void
cache_redis_unlock(struct cache_redis *cr, const char *domain, bool tell)
{
    char token[LOCK_TOKEN_SIZE];

    lock_leave(cr, domain, token);
    if (token[0] != '\0')
        lock_remove(cr, domain, token, tell);
}

/* --- taking ----------------------------------------------------------------------------------- */

struct lock_job {
    struct cache_redis_job job;
    char token[LOCK_TOKEN_SIZE];
    bool force;
    cache_redis_locked_fn *locked;
    void *arg;
};

enum { ITEM_RECORD, ITEM_TAKEN, ITEM_TOKEN, ITEM_LEFT, LOCK_ITEMS };

static void
send_lock(struct lock_job *lock)
{
    struct cache_redis_job *job = &lock->job;
    struct script_call call;

    job_begin(job, SCRIPT_LOCK, LOCK_ITEMS, &call);
    job_key(job, &call, "r:");
    job_key(job, &call, "l:");
    script_string(&call, lock->token);
    script_string(&call, lock->force ? "1" : "0");
    job_send(job, &call, 0);
}

static bool
is_held_soundly(const struct cache_redis_job *job, const struct resp *reply)
{
    const struct resp *token = job_item(reply, ITEM_TOKEN);
    int64_t left_ms = resp_integer(job_item(reply, ITEM_LEFT));
    uint64_t seq, held_max_us = (uint64_t)job->cr->held_max_ms * 1000;

    return resp_type(token) == RESP_STRING && left_ms >= 1 && left_ms <= CACHE_REDIS_LOCK_MS &&
           token_read(job->cr, job->domain, resp_bytes(token), &seq) &&
           seq + held_max_us >= job->time_us && seq <= job->time_us + AHEAD_US;
}

/* When to look again at a lock that another holds; 0: take it. */
static int64_t
again_ms(struct cache_redis_job *job, const struct resp *reply)
{
    int64_t left_ms = resp_integer(job_item(reply, ITEM_LEFT)), sight_ms;
    int64_t jitter_ms = (int64_t)chance_below(JITTER_MS + 1);

    if (is_held_soundly(job, reply)) {
        forget_sight(job->cr->locks, job->domain);
        return left_ms + SPARE_MS + jitter_ms;
    }
    sight_ms = sight_left_ms(job->cr->locks, job->domain);
    if (sight_ms == 0)
        return 0;
    return (left_ms >= 1 && left_ms < sight_ms ? left_ms : sight_ms) + SPARE_MS + jitter_ms;
}

static void
end_lock(struct lock_job *lock, const struct resp *reply, struct cache_redis_locked *result)
{
    struct cache_redis_job *job = &lock->job;
    struct record record;

    result->status = result->found.status = CACHE_REDIS_AWAY;
    if (reply != NULL) {
        result->status = CACHE_REDIS_DONE;
        cache_redis_verify(job->cr, job->domain, job_item(reply, ITEM_RECORD), &record,
                           &result->found);
        result->seq = job->time_us;
        if (result->found.record != NULL && record.seq >= result->seq && record.seq < SEQ_MAX)
            result->seq = record.seq + 1;
    }
    if (result->locked)
        hold(job->cr, job->domain, lock->token);
    job_end(job);
    lock->locked(result, lock->arg);
    job_free(job);
}

static void
on_locked(struct cache_redis_job *job, const struct resp *reply)
{
    struct lock_job *lock = (struct lock_job *)job;
    struct cache_redis_locked result = {.locked = resp_integer(job_item(reply, ITEM_TAKEN)) == 1};
    const struct held *held = find_held(job->cr, job->domain);

    if (job->cancelled) {
        /* Not where an earlier lock of ours goes on under the same token. */
        if (result.locked && (held == NULL || strcmp(held->token, lock->token) != 0))
            lock_remove(job->cr, job->domain, lock->token, true);
        job_end(job);
        job_free(job);
        return;
    }
    if (result.locked) {
        forget_sight(job->cr->locks, job->domain);
    } else if (reply != NULL) {
        result.again_ms = again_ms(job, reply);
        if (result.again_ms == 0) {
            lock->force = true;
            send_lock(lock);
            return;
        }
    }
    end_lock(lock, reply, &result);
}

struct cache_redis_job *
cache_redis_lock(struct cache_redis *cr, const char *domain, bool force,
                 cache_redis_locked_fn *locked, void *arg)
{
    struct cache_redis_job *job = job_new(cr, sizeof(struct lock_job), domain, on_locked);
    struct lock_job *lock = (struct lock_job *)job;
    const struct held *held = find_held(cr, domain);

    if (held != NULL)
        snprintf(lock->token, sizeof lock->token, "%s", held->token);
    else
        token_make(cr, domain, lock->token);
    lock->force = force;
    lock->locked = locked;
    lock->arg = arg;
    send_lock(lock);
    return job;
}
