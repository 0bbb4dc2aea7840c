#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

void
alloc_fail(void)
{
    log_error("out of memory, the program ends");
    _exit(ALLOC_EXIT); /* no clearing up, which may take memory; no SIGABRT, which tells of a bug */
}

static void *
checked(void *p)
{
    if (p == NULL)
        alloc_fail();
    return p;
}

void *
alloc_bytes(size_t size)
{
    return checked(malloc(size ? size : 1));
}

void *
alloc_zero(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *
alloc_resize(void *old, size_t size)
{
    return checked(realloc(old, size ? size : 1));
}

char *
alloc_string(const char *s)
{
    return alloc_string_len(s, strlen(s));
}

char *
alloc_string_len(const char *bytes, size_t len)
{
    char *copy = alloc_bytes(len + 1);

    if (len)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}
