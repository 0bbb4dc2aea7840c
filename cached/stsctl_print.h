/* stsctl_print - what stsctl shows of the daemon's replies, for people (the JSON goes out as it
 * came). Policies and details are somebody else's text: nothing but printable ASCII gets out. */
#ifndef STS_CACHED_STSCTL_PRINT_H
#define STS_CACHED_STSCTL_PRINT_H

#include <stdio.h>

#include "common/answer.h"

struct json_t; /* of jansson */

/* The verdict line, then why when it is not plainly "ok". */
void print_verdict(FILE *, const struct json_t *reply);
/* The same from a query socket's reply: the line as it came, and what it says. */
void print_answer(FILE *, const char *line, const struct answer_view *);
/* The JSON object of such a reply; what a query socket does not tell is null. */
struct json_t *print_answer_json(const struct answer_view *, const char *line, int exit_code);

void print_policy(FILE *, const struct json_t *reply); /* show: a block */
void print_policy_line(FILE *,
                       const struct json_t *policy);    /* list: domain mode max_age expires id */
void print_refetch(FILE *, const struct json_t *reply); /* flush DOMAIN, refresh */
void print_flush(FILE *, const struct json_t *reply);   /* flush GLOB, --all */
void print_stats(FILE *, const struct json_t *reply);
/* A line for each finding: status, layer, what it is about, what was found, what to do; then the
 * sum of them. */
void print_check(FILE *, const struct json_t *reply);
/* Of the nodes of a flush that waited, those that did not confirm, and how many did; whether other
 * nodes could not be told. */
void print_unconfirmed(FILE *, const struct json_t *reply);
void print_nodes(FILE *, const struct json_t *reply);

/* `len` bytes, everything but printable ASCII as \xNN. */
void print_bytes(FILE *, const char *bytes, size_t len);

#endif
