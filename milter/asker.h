/* asker - asks sts-cached for verdicts on behalf of all callbacks of one process.
 * Keeps a few connections for callbacks that ask at the same time. Sees to it that
 *  - at most one callback waits for a policy that is still being fetched; the others ask with
 *    wait=0. libmilter's pool of workers is narrow: many waiters would hold up every session;
 *  - a daemon that is dead or hangs costs a time-out once in ASKER_RETRY_MS, not per recipient. */
#ifndef STS_MILTER_ASKER_H
#define STS_MILTER_ASKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/answer.h"
#include "common/nexthop.h"
#include "common/sockspec.h"

enum {
    ASKER_GRACE_MS = 250,  /* above the wait: for the daemon's answer to travel */
    ASKER_PROMPT_MS = 10,  /* an answer within this costs the budget nothing: a message may have
                            * thousands of recipients at cached domains */
    ASKER_RETRY_MS = 1000, /* after a failure nobody asks for so long */
    ASKER_IDLE_MAX = 16    /* connections kept */
};

struct asker;

/* `cache` is copied. Nothing is opened yet; clients belong to the process that made them: fork
 * before. */
struct asker *asker_new(const struct sockspec *cache);
/* Only when no callback is asking. */
void asker_free(struct asker *);

/* Asks about one next hop (DOMAIN or HOST). `budget_ms` is what is left of the message's time: the
 * daemon is told to wait no longer, and the call takes at most ASKER_GRACE_MS more. What it took is
 * subtracted; at -ASKER_GRACE_MS nothing is asked any more.
 * Of a refusal by probing `out->probes` says what is wrong at each host, if the daemon tells within
 * ASKER_GRACE_MS more. True: `out` holds the verdict, to be freed by answer_view_done. False: no
 * usable answer. */
MUST_CHECK bool asker_ask(struct asker *, const struct nexthop *hop, int64_t *budget_ms,
                          struct answer_view *out);

#endif
