/* dns_line - whose look-up runs next. So many run at a time; organisations (organisation.h) that
 * have some waiting take turns, and one has no more than its share of the places: names below one
 * registrable domain cost nothing, and its DNS may be silent. Within one, first come, first served.
 */
#ifndef STS_CACHED_DNS_LINE_H
#define STS_CACHED_DNS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "common/alloc.h"

struct dns_line;
struct dns_party;

/* A part of whoever stands in line. */
struct dns_line_item {
    TAILQ_ENTRY(dns_line_item) link;
    struct dns_party *party;
    bool is_running;
};

struct dns_line *dns_line_new(size_t running_max, size_t share_max);
/* Nobody may be in it. */
void dns_line_free(struct dns_line *);

/* `name` is a normalised domain, or what is none, and stands for itself. */
void dns_line_join(struct dns_line *, struct dns_line_item *, const char *name);
/* Who may run now, and counts as running. NULL: nobody. */
MUST_CHECK struct dns_line_item *dns_line_next(struct dns_line *);
/* Of one that waits or runs. */
void dns_line_leave(struct dns_line *, struct dns_line_item *);
/* Anyone who is in it; NULL: nobody. */
struct dns_line_item *dns_line_any(const struct dns_line *);

#endif
