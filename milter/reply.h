/* reply - what a verdict means for a recipient, and how that is told to people.
 * Decides by the settings and writes the text of the SMTP reply; asks nobody. Pure. */
#ifndef STS_MILTER_REPLY_H
#define STS_MILTER_REPLY_H

#include <stddef.h>

#include "common/answer.h"
#include "milter/settings.h"

/* From the mildest to the harshest: of several next hops the mildest counts. */
enum reply_action { ACTION_ACCEPT, ACTION_TEMPFAIL, ACTION_QUARANTINE, ACTION_REJECT };

/* A text has at most this many bytes, so that the reply line keeps within the 512 of RFC 5321
 * s4.5.3.1.5 with the longest of domains; the ordinary one stays below 300. */
enum { REPLY_TEXT_SIZE = 490, REPLY_TEXT_USUAL = 300 };

/* `verdict` NULL: the cache daemon gave no answer. Does not look at `mode`. */
enum reply_action reply_decide(const struct settings *, const struct answer_view *verdict);

/* One line for the person who sent the message: the domain, the cause and what to do. Holds
 * printable ASCII without `%` only, whatever the policy or the domain hold: libmilter and the MTAs
 * treat `%` specially. `verdict` as above. */
void reply_text(enum reply_action, const char *domain, const struct answer_view *verdict,
                char text[REPLY_TEXT_SIZE]);

/* "451" and "4.7.5", or "550" and "5.7.5". */
const char *reply_code(enum reply_action);
const char *reply_enhanced_code(enum reply_action);
/* "tempfail": the word in the log. */
const char *reply_action_name(enum reply_action);

#endif
