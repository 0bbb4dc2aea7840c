#include "common/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

FILE *
regular_open(const char *path, mode_t *mode, char *why, size_t size)
{
    /* O_NONBLOCK: a FIFO must not hold us up before we see what it is. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    FILE *file = NULL;

    if (fd < 0 || fstat(fd, &st) != 0)
        snprintf(why, size, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        snprintf(why, size, "%s: not a regular file", path);
    else if ((file = fdopen(fd, "r")) == NULL)
        snprintf(why, size, "%s: %s", path, strerror(errno));
    if (file == NULL && fd >= 0)
        close(fd);
    if (file != NULL && mode != NULL)
        *mode = st.st_mode;
    return file;
}
