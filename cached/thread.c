#include "cached/thread.h"

#include <signal.h>
#include <stddef.h>

int
thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    sigset_t all, before;
    int error;

    sigfillset(&all);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        sigdelset(&all, crashes[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        (void)pthread_setname_np(*thread, name);
    return error;
}
