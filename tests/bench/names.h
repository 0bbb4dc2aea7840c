/* names - the domains of the bench: their numbers tell what is at them, so that the bare servers
 * and the load generator know every answer without a table.
 *   pN-bench.test   an enforce policy with the pattern mx.pN-bench.test
 *   nN-bench.test   no record
 *   hN-bench.test   a record, and a policy host that takes connections and says nothing */
#ifndef STS_TESTS_BENCH_NAMES_H
#define STS_TESTS_BENCH_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#define NAMES_POLICY_ID "20261101000000Z" /* about as long as in life */
#define NAMES_RECORD "v=STSv1; id=" NAMES_POLICY_ID ";"

enum { NAMES_SIZE = 64, NAMES_FRAME_SIZE = 256 };

enum names_kind { NAMES_POLICY = 'p', NAMES_NEGATIVE = 'n', NAMES_HANGING = 'h' };

/* Writes the domain; its length. */
size_t names_domain(enum names_kind, unsigned number, char out[NAMES_SIZE]);
/* Finds the domain's kind and number below any labels in front of it ("_mta-sts.p7-bench.test").
 * False: it is none of ours. */
bool names_read(const char *name, size_t len, enum names_kind *, unsigned *number);

/* The netstring that asks for a domain's policy as Postfix does; its length. */
size_t names_question(const char *domain, size_t len, char out[NAMES_FRAME_SIZE]);
/* The netstring that answers it: by the domain's first letter, a policy or none; its length. */
size_t names_answer(const char *domain, size_t len, char out[NAMES_FRAME_SIZE]);

#endif
