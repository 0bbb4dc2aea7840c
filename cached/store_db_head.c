/* The two heads of LMDB's file: its first two pages. Each commit writes the older one anew, LMDB
 * goes by the newer one, and does not open a file in which either is no head. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cached/store_db_lmdb.h"

enum {
    FLAGS_AT = 10,
    MAGIC_AT = 16,
    VERSION_AT = 20,
    PAGE_SIZE_AT = 40,
    LAST_PAGE_AT = 136,
    NUMBER_AT = 144, /* of the commit; 0: none yet */
    HEAD_SIZE = 152
};
enum { HEADS = 2, IS_HEAD = 8, MAGIC = 0xBEEFC0DE, DATA_VERSION = 1, PAGE_MAX = 32768 };

/* The last page that a head says is in use, and how large pages are; false: there is no head. */
static bool
read_head(int fd, off_t at, uint64_t *last_page, uint32_t *page_size)
{
    char head[HEAD_SIZE];

    if (pread(fd, head, sizeof head, at) != HEAD_SIZE)
        return false;
    memcpy(page_size, head + PAGE_SIZE_AT, sizeof *page_size);
    memcpy(last_page, head + LAST_PAGE_AT, sizeof *last_page);
    return true;
}

/* What one head has LMDB map. Pages at the end of the file that are free may never have been
 * written, but a file is not half as long as its head says. */
static bool
is_head_sane(int fd, off_t at, uint64_t most, uint32_t *page_size)
{
    uint64_t last_page;

    return !read_head(fd, at, &last_page, page_size) ||
           (*page_size > 0 && last_page < most / *page_size);
}

bool
store_db_is_map_sane(const char *path, int64_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint32_t page_size = 0;
    struct stat st;
    bool sane = true;

    if (fd < 0)
        return true;
    if (fstat(fd, &st) == 0) {
        uint64_t most = 2 * ((uint64_t)st.st_size + (uint64_t)size);

        sane =
            is_head_sane(fd, 0, most, &page_size) && is_head_sane(fd, page_size, most, &page_size);
    }
    close(fd);
    return sane;
}

/* As large as LMDB makes pages on this machine. */
static size_t
page_size_here(void)
{
    long size = sysconf(_SC_PAGESIZE);

    return size < HEAD_SIZE || size > PAGE_MAX ? PAGE_MAX : (size_t)size;
}

/* Reads the number of the commit that wrote this head; false: LMDB would not take it for one. */
static bool
read_number(int fd, int head, size_t page_size, uint64_t *number)
{
    char page[HEAD_SIZE];
    uint16_t flags;
    uint32_t magic, version, size;

    if (pread(fd, page, sizeof page, head * (off_t)page_size) != HEAD_SIZE)
        return false;
    memcpy(&flags, page + FLAGS_AT, sizeof flags);
    memcpy(&magic, page + MAGIC_AT, sizeof magic);
    memcpy(&version, page + VERSION_AT, sizeof version);
    memcpy(&size, page + PAGE_SIZE_AT, sizeof size);
    memcpy(number, page + NUMBER_AT, sizeof *number);
    return flags & IS_HEAD && magic == MAGIC && version == DATA_VERSION && size == page_size;
}

bool
store_db_was_written(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t number;
    bool written = false;

    if (fd < 0)
        return false;
    for (int head = 0; head < HEADS; head++)
        written |= read_number(fd, head, page_size_here(), &number) && number > 0;
    close(fd);
    return written;
}

/* Of two sound heads LMDB goes by the one with the greater number, or the first. -1: none. */
static int
other_head(int fd, size_t page_size)
{
    uint64_t numbers[HEADS];
    bool first = read_number(fd, 0, page_size, &numbers[0]);
    bool second = read_number(fd, 1, page_size, &numbers[1]);

    if (first && second)
        return numbers[0] < numbers[1] ? 0 : 1;
    return first ? 0 : second ? 1 : -1;
}

static bool
copy_rest(int from, int to, off_t at)
{
    ssize_t sent;

    if (lseek(to, at, SEEK_SET) != at)
        return false;
    while ((sent = sendfile(to, from, &at, 1 << 30)) > 0)
        ;
    return sent == 0;
}

static bool
write_headed(int from, const char *path, const char *head, size_t page)
{
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool done;

    if (to < 0)
        return false;
    done = pwrite(to, head, page, 0) == (ssize_t)page &&
           pwrite(to, head, page, (off_t)page) == (ssize_t)page &&
           copy_rest(from, to, (off_t)(2 * page));
    close(to);
    return done;
}

bool
store_db_copy_other_head(const char *path, const char *copy)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), head;
    size_t page_size = page_size_here();
    char page[PAGE_MAX];
    bool done;

    if (fd < 0)
        return false;
    head = other_head(fd, page_size);
    done = head >= 0 && pread(fd, page, page_size, head * (off_t)page_size) == (ssize_t)page_size &&
           write_headed(fd, copy, page, page_size);
    close(fd);
    return done;
}
