/* callbacks - the one file that speaks to libmilter: what is negotiated, which callback does what,
 * and how a decision becomes a reply. Sessions do the judging. */
#ifndef STS_MILTER_CALLBACKS_H
#define STS_MILTER_CALLBACKS_H

#include <stdbool.h>

#include "common/alloc.h"
#include "milter/rules.h"

/* Tells libmilter to accept connections on a listening descriptor. Call in the parent: children
 * inherit it. False when this libmilter cannot (`fd:` is a Debian patch). */
MUST_CHECK bool callbacks_use_descriptor(int fd);
/* Without that: lets libmilter make the socket itself. Good for one process only. */
MUST_CHECK bool callbacks_use_socket(const char *spec);

/* Puts a set of rules in place (the reference is taken) for the messages that come from now on. */
void callbacks_set_rules(struct rules *);

/* Serves until libmilter is told to stop (SIGTERM); call in its own thread, once. `timeout_ms`: how
 * long an MTA may be silent. False when it could not serve. */
MUST_CHECK bool callbacks_serve(int64_t timeout_ms);

/* True while a callback is at work. */
bool callbacks_are_busy(void);

#endif
