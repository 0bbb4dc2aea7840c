/* rules - the settings in force together with the asker that goes by them.
 * One message is judged by one set of rules from its first recipient to its end; a reload replaces
 * the set for the messages that come after. Counted references, because libmilter's threads hold
 * the old set while the new one is put in place. */
#ifndef STS_MILTER_RULES_H
#define STS_MILTER_RULES_H

#include "milter/asker.h"
#include "milter/settings.h"

struct rules {
    struct settings *settings; /* nobody changes them */
    struct asker *asker;
    int holders; /* only rules.c looks */
};

/* `settings` is taken. One reference, the caller's. */
struct rules *rules_new(struct settings *settings);
/* Another reference to the same; from any thread. */
struct rules *rules_hold(struct rules *);
/* Gives a reference back; the last one frees. NULL is fine. */
void rules_release(struct rules *);

#endif
