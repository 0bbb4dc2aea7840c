#include "milter/handover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for the one descriptor that a packet carries, aligned as the kernel wants it. */
union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

bool
handover_open(int *parent_end, int *child_end)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    *parent_end = ends[0];
    *child_end = ends[1];
    return true;
}

/* Returns a file in memory that holds the settings, -1 on failure. */
static int
print_to_memory(const struct settings *settings)
{
    int fd = memfd_create("sts-milter.conf", MFD_CLOEXEC);
    FILE *out = fd < 0 ? NULL : fdopen(dup(fd), "w");

    if (!out) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    settings_print(settings, out);
    if (fclose(out) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool
send_descriptor(int channel, int fd)
{
    char mark = 'S';
    struct iovec data = {.iov_base = &mark, .iov_len = 1};
    union control control;
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    struct cmsghdr *head;

    memset(&control, 0, sizeof control);
    head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    return sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

bool
handover_send(int parent_end, const struct settings *settings)
{
    int fd = print_to_memory(settings);
    bool is_sent = fd >= 0 && send_descriptor(parent_end, fd);

    if (fd >= 0)
        close(fd);
    return is_sent;
}

/* 1: a packet (`*fd` -1 when it bore no descriptor), 0: closed. */
static int
receive_descriptor(int channel, int *fd)
{
    char mark;
    struct iovec data = {.iov_base = &mark, .iov_len = 1};
    union control control;
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    const struct cmsghdr *head;
    ssize_t got;

    do {
        got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got <= 0)
        return 0;
    *fd = -1;
    head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_type == SCM_RIGHTS && head->cmsg_len == CMSG_LEN(sizeof *fd))
        memcpy(fd, CMSG_DATA(head), sizeof *fd);
    return 1;
}

enum handover
handover_receive(int child_end, struct settings **out, char *error, size_t size)
{
    char path[64];
    int fd;

    if (receive_descriptor(child_end, &fd) == 0)
        return HANDOVER_CLOSED;
    if (fd < 0) {
        snprintf(error, size, "no settings came with the packet");
        return HANDOVER_FAILED;
    }
    /* Opened anew by this path the file is read from its start, though others read it too. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    *out = settings_read(path, error, size);
    close(fd);
    return *out ? HANDOVER_SETTINGS : HANDOVER_FAILED;
}
