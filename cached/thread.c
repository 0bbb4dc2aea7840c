#include "cached/thread.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>

struct order {
    void *(*run)(void *);
    void *arg;
};

/* Linux keeps a priority for each thread, so 0 is the caller. */
static void *
begin(void *arg)
{
    struct order order = *(struct order *)arg;

    free(arg);
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + THREAD_NICE);
    return order.run(order.arg);
}

int
thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    struct order *order = alloc_zero(1, sizeof *order);
    sigset_t all, before;
    int error;

    *order = (struct order){run, arg};
    sigfillset(&all);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        sigdelset(&all, crashes[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(thread, NULL, begin, order);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        free(order);
    else
        (void)pthread_setname_np(*thread, name);
    return error;
}
