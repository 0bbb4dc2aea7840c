/* control_parts - what control.c and control_orders.c share; nobody else includes it. */
#ifndef STS_CACHED_CONTROL_PARTS_H
#define STS_CACHED_CONTROL_PARTS_H

#include <stdbool.h>

#include "cached/check.h"
#include "cached/command.h"
#include "cached/farm.h"
#include "cached/flush.h"
#include "common/domain.h"

/* A command that waits for its reply. */
struct control_job {
    struct control_job *next, **link;
    struct control *control;
    control_reply_fn *reply; /* NULL: who asked is gone */
    void *arg;
    struct query_token *token;
    struct flush *flush;
    struct farm_job *farm_job;
    struct check *check;
    bool all;  /* of a flush: no glob that must match something */
    bool wait; /* the reply waits for the other nodes */
    enum exitcode (*exit_of)(const struct refetch_result *);
    struct buf out; /* the reply so far, while the nodes are waited for */
    enum exitcode exit_code;
};

struct control_job *control_job_new(struct command *);
/* Ends a job with the JSON in `out`. The reply may run the next command. */
void control_job_reply(struct control_job *, struct buf *out);
/* The policy domain that the second word means; false when it means none: the command has ended
 * with an error. */
bool control_read_domain(struct command *, char domain[DOMAIN_SIZE]);

/* control_orders.c. */
void control_run_flush(struct command *);
void control_run_refresh(struct command *);
void control_run_nodes(struct command *);

/* control_check.c */
void control_run_check(struct command *);

#endif
