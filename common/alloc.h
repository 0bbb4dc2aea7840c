/* alloc - memory that is always there.
 * Running out of memory ends the program with one line in the log: no caller tests for NULL.
 * What comes from here is freed with free(). */
#ifndef STS_COMMON_ALLOC_H
#define STS_COMMON_ALLOC_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))

enum { ALLOC_EXIT = 71 }; /* the status of a program that ended for lack of memory: EX_OSERR */

/* Ends the program as the functions below do; for what a library reports that has no hook. */
_Noreturn void alloc_fail(void);

/* Like malloc, calloc and realloc; never NULL. A size of 0 gives a pointer that may be freed. */
MUST_CHECK void *alloc_bytes(size_t size);
MUST_CHECK void *alloc_zero(size_t count, size_t size);
MUST_CHECK void *alloc_resize(void *old, size_t size);

/* A NUL-terminated copy of a string, or of `len` bytes. */
MUST_CHECK char *alloc_string(const char *s);
MUST_CHECK char *alloc_string_len(const char *bytes, size_t len);

#endif
