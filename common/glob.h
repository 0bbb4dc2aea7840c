/* glob - patterns over domain names, as operators write them: `*` stands for any bytes, dots too,
 * `?` for one; no other special byte. Pure. */
#ifndef STS_COMMON_GLOB_H
#define STS_COMMON_GLOB_H

#include <stdbool.h>

bool glob_matches(const char *glob, const char *name);
/* True when the text has a special byte. */
bool glob_is(const char *text);

#endif
