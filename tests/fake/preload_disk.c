/* preload_disk - a disk that refuses to be written to when a test says so (LD_PRELOAD).
 * The file named in PRELOAD_DISK holds one number of 32 bits, read anew each time: the errno of
 * every write and sync that LMDB asks for; 0: all go well. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static const volatile int32_t *refusal;

__attribute__((constructor)) static void
begin(void)
{
    int fd = open(getenv("PRELOAD_DISK"), O_RDONLY | O_CLOEXEC);
    void *map = mmap(NULL, sizeof *refusal, PROT_READ, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED)
        abort();
    close(fd);
    refusal = map;
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
