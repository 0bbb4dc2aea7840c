/* preload - what the libraries for LD_PRELOAD have in common: the file by which a test turns them.
 */
#ifndef STS_TESTS_PRELOAD_H
#define STS_TESTS_PRELOAD_H

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Maps the first `size` bytes of the file that the environment names, for as long as the program
 * runs; ends it when there is no such file. */
static inline void *
preload_map(const char *variable, size_t size)
{
    int fd = open(getenv(variable), O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED)
        abort();
    close(fd);
    return map;
}

#endif
