/* session - one SMTP connection as the milter sees it, and the message that is under way on it.
 * Judges recipients and counts; knows nothing of libmilter, which callbacks.c translates.
 * One thread at a time, but not always the same one: libmilter's workers take turns. */
#ifndef STS_MILTER_SESSION_H
#define STS_MILTER_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "milter/reply.h"
#include "milter/rules.h"

/* A message's next hop that may be used is not asked about again for so long: a message has up to
 * thousands of recipients, and most of them share a few next hops. What holds a recipient back, or
 * is not decided yet, is asked for each time. */
enum { SESSION_VERDICT_MS = 1000 };

struct session;

/* What the MTA says of a recipient; each may be NULL or "". */
struct recipient {
    const char *mailer;  /* {rcpt_mailer} */
    const char *host;    /* {rcpt_host}: the next hop */
    const char *address; /* {rcpt_addr} or what RCPT TO said, with or without <> */
    const char *queue_id;
};

/* How a message ended. */
enum session_end { END_ACCEPTED, END_QUARANTINED, END_ABORTED };

/* `can_quarantine`: the MTA has agreed to it; without, `on-refuse = quarantine` means tempfail. */
struct session *session_new(bool can_quarantine);
/* Ends a message under way as aborted. NULL is fine. */
void session_free(struct session *);

/* Notes who the client is; NULL when that is not known. */
void session_set_client(struct session *, const struct rules *, const struct sockaddr *client);

/* Judges one recipient of the message under way, starting one if there is none; `rules` are then
 * held until its end. For ACTION_TEMPFAIL and ACTION_REJECT `text` is what to tell the client. */
MUST_CHECK enum reply_action session_recipient(struct session *, struct rules *rules,
                                               const struct recipient *,
                                               char text[REPLY_TEXT_SIZE]);

/* The reason why the message must be held, NULL if it need not. Borrowed until its end. */
const char *session_quarantine_reason(const struct session *);
/* The value of the header that `add-header` asks for, NULL if it does not. Holds counts only:
 * domains would tell of blind copies. Borrowed until the next call. */
const char *session_header(struct session *);

/* Ends the message: writes its log line and forgets it. Nothing happens when there is none. */
void session_end(struct session *, enum session_end, const char *queue_id);

#endif
