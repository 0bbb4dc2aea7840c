/* preload_alloc - memory, also by mmap, that is not there when a test says so (LD_PRELOAD).
 * The file named in PRELOAD_ALLOC holds three numbers of 32 bits, read anew each time: one
 * allocation in so many fails (0: none), counted over those of the object whose file name contains
 * the text in PRELOAD_CALLER ("" : of all); how many have failed; how many were counted. The last
 * two are written here. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "preload.h"

struct control {
    uint32_t every, failed, counted;
};

static struct control *control;
static const char *caller_part;
static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

__attribute__((constructor)) static void
begin(void)
{
    caller_part = getenv("PRELOAD_CALLER");
    control = preload_map("PRELOAD_ALLOC", sizeof *control);
}

static void
find_real(void)
{
    if (real_malloc != NULL)
        return;
    *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
}

static bool
fails_now(const void *caller)
{
    Dl_info object;
    uint32_t every = control == NULL ? 0 : __atomic_load_n(&control->every, __ATOMIC_RELAXED);

    if (every == 0)
        return false;
    if (caller_part != NULL && *caller_part != '\0' &&
        (!dladdr(caller, &object) || strstr(object.dli_fname, caller_part) == NULL))
        return false;
    if (__atomic_add_fetch(&control->counted, 1, __ATOMIC_RELAXED) % every != 0)
        return false;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return true;
}

void *
malloc(size_t size)
{
    find_real();
    return fails_now(__builtin_return_address(0)) ? NULL : real_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    find_real();
    return fails_now(__builtin_return_address(0)) ? NULL : real_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
    find_real();
    return fails_now(__builtin_return_address(0)) ? NULL : real_realloc(old, size);
}

void *
mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (real_mmap == NULL)
        *(void **)&real_mmap = dlsym(RTLD_NEXT, "mmap");
    return fails_now(__builtin_return_address(0))
               ? MAP_FAILED
               : real_mmap(at, size, protection, flags, fd, offset);
}
