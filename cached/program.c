#include "cached/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

enum { PIECE = 4096, NOT_FOUND = 127, TICK_US = 5000 };

/* In the child; does not return. */
static void
become(const char *const argv[], int output)
{
    int null = open("/dev/null", O_RDWR);

    (void)setpgid(0, 0);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(null, STDERR_FILENO) >= 0)
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(NOT_FOUND);
}

/* True: there is something to read (or the end). */
static bool
wait_for_output(int fd, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int64_t left = deadline_ms - clock_boot_ms();

        if (left <= 0)
            return false;
        if (poll(&poll_fd, 1, (int)left) > 0)
            return true;
    }
}

static enum program_status
read_all(int fd, int64_t deadline_ms, struct buf *out)
{
    char piece[PIECE];
    ssize_t got;

    for (;;) {
        if (!wait_for_output(fd, deadline_ms))
            return PROGRAM_TIMEOUT;
        got = read(fd, piece, sizeof piece);
        if (got == 0)
            return PROGRAM_OK;
        if (got < 0 && errno != EINTR)
            return PROGRAM_FAILED;
        if (got > 0)
            buf_add(out, piece, (size_t)got);
        if (buf_failed(out))
            return PROGRAM_TOO_MUCH;
    }
}

static enum program_status
status_of(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return PROGRAM_OK;
    return WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND ? PROGRAM_MISSING : PROGRAM_FAILED;
}

/* The program has closed its output: it is to end, too. */
static enum program_status
wait_for_end(pid_t pid, int64_t deadline_ms)
{
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_boot_ms() >= deadline_ms) {
            (void)kill(-pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            return PROGRAM_TIMEOUT;
        }
        usleep(TICK_US);
    }
    return status_of(status);
}

enum program_status
program_output(const char *const argv[], int64_t deadline_ms, struct buf *out)
{
    enum program_status status;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return PROGRAM_FAILED;
    if ((pid = fork()) == 0)
        become(argv, fds[1]);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return PROGRAM_FAILED;
    }
    (void)setpgid(pid, pid); /* whoever of the two comes first */
    status = read_all(fds[0], deadline_ms, out);
    close(fds[0]);
    if (status == PROGRAM_OK)
        return wait_for_end(pid, deadline_ms);
    (void)kill(-pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return status;
}
