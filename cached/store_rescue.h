/* store_rescue - sees to it that the file of the store can be opened without harm.
 * LMDB has no checksums and may kill the process on a damaged file; so a forked child has the first
 * look at it, and when it is damaged, or a former run crashed inside it, children copy every sound
 * record into a new file. Where one dies the next goes on behind that place. When that is not all
 * they try a copy of the file with the other of LMDB's two heads, and the better result is taken:
 * for that the directory may need room for the store and three more of its size. */
#ifndef STS_CACHED_STORE_RESCUE_H
#define STS_CACHED_STORE_RESCUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/alloc.h"

struct store_files {
    const char *store;   /* policies.mdb */
    const char *suspect; /* made by the former run when it crashed inside the store */
    int64_t size;
};

/* Call before the store is opened, with the directory locked. When it returns true the file is
 * sound, new, or not there, `suspect` is gone, and the former file, if it was not sound, is kept
 * under the name of the store with ".damaged" behind it, or ".damaged.1" to ".damaged.9" when older
 * ones are there (then the last is replaced); a warning says how many records were saved.
 * False: nothing was touched, and `why` says what is wrong (no right to read it, a newer version,
 * no room or no child at the first try).
 * `surely_damaged`: skip the first look. */
MUST_CHECK bool store_rescue(const struct store_files *, bool surely_damaged, char *why,
                             size_t why_size);

#endif
