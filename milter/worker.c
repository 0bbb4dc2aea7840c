#include "milter/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/daemon.h"
#include "common/log.h"
#include "milter/callbacks.h"
#include "milter/handover.h"

struct server {
    int64_t timeout_ms;
    int channel;
    bool failed;
};

static void *
serve(void *arg)
{
    struct server *server = arg;
    bool failed = !callbacks_serve(server->timeout_ms);

    __atomic_store_n(&server->failed, failed, __ATOMIC_RELEASE);
    shutdown(server->channel, SHUT_RDWR); /* wakes the main thread: it alone ends the process */
    return NULL;
}

/* Takes the place of the C library's in this program, and so in libmilter, which without
 * descriptors would ask again and again and let no other process have the processor. */
int
accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict len)
{
    const struct timespec breath = {.tv_nsec = 200 * 1000 * 1000};
    int client = accept4(fd, address, len, 0), error = errno;

    if (client < 0 && (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS)) {
        nanosleep(&breath, NULL);
        errno = error;
    }
    return client;
}

/* libmilter's own thread waits for SIGHUP, too, and takes it for an order to stop. The kernel drops
 * a signal that is ignored at once only when the main thread does not block it: so libmilter, which
 * blocks it in the thread that calls it, gets another thread. SIGTERM is left to libmilter. */
static void
prepare_signals(void)
{
    sigset_t set;

    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

/* Takes new settings until the channel is shut. */
static void
follow_parent(int channel)
{
    for (;;) {
        struct settings *next = NULL;
        char error[512];

        switch (handover_receive(channel, &next, error, sizeof error)) {
        case HANDOVER_SETTINGS:
            callbacks_set_rules(rules_new(next));
            log_debug("new settings are in force");
            break;
        case HANDOVER_FAILED:
            log_error("the new settings did not arrive, the old ones stay: %s", error);
            break;
        case HANDOVER_CLOSED:
            return;
        }
    }
}

/* Lets the recipients that are being judged have their reply. */
static void
finish_callbacks(int64_t limit_ms)
{
    const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
    int64_t until_ms = clock_boot_ms() + limit_ms;

    do {
        nanosleep(&pause, NULL);
    } while (callbacks_are_busy() && clock_boot_ms() < until_ms);
}

int
worker_run(struct settings *settings, int channel)
{
    static struct server server; /* the thread may outlive this call by a moment */
    int64_t limit_ms = settings->wait_ms + 2 * ASKER_GRACE_MS;
    pthread_t thread;

    server.timeout_ms = settings->timeout_ms;
    server.channel = channel;
    prepare_signals();
    callbacks_set_rules(rules_new(settings));
    if (pthread_create(&thread, NULL, serve, &server) != 0) {
        log_error("no thread for libmilter");
        return DAEMON_EXIT_FAILURE;
    }
    pthread_detach(thread);
    follow_parent(channel);
    finish_callbacks(limit_ms);
    return __atomic_load_n(&server.failed, __ATOMIC_ACQUIRE) ? DAEMON_EXIT_FAILURE : DAEMON_EXIT_OK;
}
