#include "common/glob.h"

#include <stddef.h>
#include <string.h>

bool
glob_matches(const char *glob, const char *name)
{
    const char *star = NULL, *resume = NULL;

    while (*name != '\0') {
        if (*glob == '*') {
            star = ++glob;
            resume = name;
        } else if (*glob == '?' || *glob == *name) {
            glob++;
            name++;
        } else if (star != NULL) {
            glob = star;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

bool
glob_is(const char *text)
{
    return strpbrk(text, "*?") != NULL;
}
