/* preload_disk - a disk that refuses to be written to when a test says so (LD_PRELOAD).
 * The file named in PRELOAD_DISK holds one number of 32 bits, read anew each time: the errno of
 * every write and sync that LMDB asks for; 0: all go well. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "preload.h"

static const volatile int32_t *refusal;

__attribute__((constructor)) static void
begin(void)
{
    refusal = preload_map("PRELOAD_DISK", sizeof *refusal);
}

static bool
is_refused(const void *caller)
{
    Dl_info object;

    if (refusal == NULL || *refusal == 0 || !dladdr(caller, &object) ||
        strstr(object.dli_fname, "liblmdb") == NULL)
        return false;
    errno = *refusal;
    return true;
}

static void *
real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    ssize_t (*next)(int, const void *, size_t, off_t);

    *(void **)&next = real("pwrite");
    return is_refused(__builtin_return_address(0)) ? -1 : next(fd, bytes, len, at);
}

ssize_t
writev(int fd, const struct iovec *parts, int count)
{
    ssize_t (*next)(int, const struct iovec *, int);

    *(void **)&next = real("writev");
    return is_refused(__builtin_return_address(0)) ? -1 : next(fd, parts, count);
}

int
fdatasync(int fd)
{
    int (*next)(int);

    *(void **)&next = real("fdatasync");
    return is_refused(__builtin_return_address(0)) ? -1 : next(fd);
}
