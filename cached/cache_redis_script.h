/* cache_redis_script - what is done in Redis in one step: the Lua texts, and a call's arguments.
 * Each script takes Redis' TIME first and replies with an array that begins with it (seconds,
 * microseconds; as strings); an error reply means that nothing was written. What stands under our
 * prefix may be anybody's: types are looked at and lengths cut before a value is handed out, and a
 * key of a wrong type counts as a record or lock that is not ours.
 *
 *   SCRIPT_READ    records...                                          each: value, or nil: wrong
 *                                                                      type
 *   SCRIPT_LOCK    record lock; token, "1": force                      record, taken (0, 1), lock,
 *                                                                      PTTL
 *   SCRIPT_RENEW   lock; token                                         1: ours, renewed
 *   SCRIPT_UNLOCK  lock events; token, domain, "1": tell               1: was ours
 *   SCRIPT_PUT     record lock index events; tail, record, life, domain, token, "1": into the index
 *                  1 and the event's id; 0: there stands another than the one with that tail
 *   SCRIPT_INDEX   index; from, most                                   member, score, ...
 *   SCRIPT_TELL    events; name                                        id
 *   SCRIPT_BEAT    epoch events nodes; new epoch, applied id, node, id to register
 *                                                                      epoch, 1: `applied` is
 *                                                                      there, newest id
 *   SCRIPT_NODES   nodes events; most                                  newest id, node, line, ...
 *   SCRIPT_LEAVE   nodes; node                                         -
 *   SCRIPT_SET     record; record, life                                - */
#ifndef STS_CACHED_CACHE_REDIS_SCRIPT_H
#define STS_CACHED_CACHE_REDIS_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "common/scan.h"

enum script {
    SCRIPT_READ,
    SCRIPT_LOCK,
    SCRIPT_RENEW,
    SCRIPT_UNLOCK,
    SCRIPT_PUT,
    SCRIPT_INDEX,
    SCRIPT_TELL,
    SCRIPT_BEAT,
    SCRIPT_NODES,
    SCRIPT_LEAVE,
    SCRIPT_SET
};

enum {
    SCRIPT_ARGUMENTS_MAX = 80,
    SCRIPT_TAIL = 65 /* a record's last bytes, by which SCRIPT_PUT knows it: the MAC and LF */
};

/* "get", for the log. */
const char *script_name(enum script);

/* One EVAL. First the keys, then the values. */
struct script_call {
    struct span arguments[SCRIPT_ARGUMENTS_MAX];
    char *owned[SCRIPT_ARGUMENTS_MAX];
    size_t count, keys;
    char key_count[8];
};

void script_begin(struct script_call *, enum script);
/* Adds the key <prefix><kind><domain>; all are copied. */
void script_key(struct script_call *, const char *prefix, const char *kind, const char *domain);
void script_value(struct script_call *, const char *bytes, size_t len); /* borrowed */
void script_string(struct script_call *, const char *);                 /* borrowed */
void script_number(struct script_call *, int64_t);
/* The command is arguments[0] to arguments[count - 1] after this. */
void script_end(struct script_call *);
void script_done(struct script_call *);

#endif
