/* confcheck - tests of what options of both programs hold, for the `check` of their tables.
 * Each returns NULL when the text is fine, else what is wrong: good until the next call. */
#ifndef STS_COMMON_CONFCHECK_H
#define STS_COMMON_CONFCHECK_H

/* "name" or "name:group", both known to this host. */
const char *confcheck_user(const char *value);
/* A name or a number. */
const char *confcheck_group(const char *value);
/* As sockspec_parse reads it. */
const char *confcheck_socket(const char *value);

#endif
