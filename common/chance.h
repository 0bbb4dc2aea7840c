/* chance - random numbers from the kernel. Where it gives none the program ends: what must not be
 * guessed would be. */
#ifndef STS_COMMON_CHANCE_H
#define STS_COMMON_CHANCE_H

#include <stddef.h>
#include <stdint.h>

/* At most 256 bytes. */
void chance_bytes(void *out, size_t len);
/* Any of 0 to `count` - 1; `count` at least 1. */
uint64_t chance_below(uint64_t count);

#endif
