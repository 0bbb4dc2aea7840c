#include "cached/store_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
enum { DEADLY_COUNT = sizeof deadly / sizeof deadly[0] };

/* A signal handler can be told nothing: what it needs must stand here. */
static char mark_path[PATH_MAX];
static struct sigaction former[DEADLY_COUNT];
static _Thread_local volatile sig_atomic_t inside;

/* Also called in the handler: nothing here but system calls. */
void
store_guard_mark(void)
{
    int fd;

    if (mark_path[0] == '\0')
        return;
    fd = open(mark_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

/* Hands the signal on to whoever had it before us, by default death with a core: raised here, it is
 * delivered when the handler returns, be it sent by a person or by the fault. */
static void
on_deadly_signal(int signal)
{
    int saved = errno;

    if (inside)
        store_guard_mark();
    for (int i = 0; i < DEADLY_COUNT; i++) {
        if (deadly[i] == signal)
            sigaction(signal, &former[i], NULL);
    }
    errno = saved;
    raise(signal);
}

void
store_guard_install(const char *mark)
{
    struct sigaction action = {.sa_handler = on_deadly_signal, .sa_flags = SA_ONSTACK};

    snprintf(mark_path, sizeof mark_path, "%s", mark);
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < DEADLY_COUNT; i++)
        sigaction(deadly[i], &action, &former[i]);
}

void
store_guard_remove(void)
{
    for (int i = 0; i < DEADLY_COUNT; i++)
        sigaction(deadly[i], &former[i], NULL);
    mark_path[0] = '\0';
}

void
store_guard_enter(void)
{
    inside = 1;
}

void
store_guard_leave(void)
{
    inside = 0;
}
