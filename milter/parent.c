#include "milter/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/sockspec.h"
#include "milter/callbacks.h"
#include "milter/handover.h"
#include "milter/worker.h"

enum {
    RESTART_FIRST_MS = 100,
    RESTART_MAX_MS = 30 * 1000,
    HEALTHY_MS = 10 * 1000, /* a child that lived so long is replaced at once */
    STOP_MS = 10 * 1000,    /* then children are killed; a callback takes a second */
    SYSTEMD_FIRST_FD = 3
};

/* A place for one child; pid 0: none is running. */
struct child {
    pid_t pid;
    int channel;
    int64_t started_ms, start_at_ms;
    int64_t delay_ms; /* before the next start */
};

struct parent {
    const char *config;
    struct settings *settings;
    int listener; /* -1: libmilter made the socket */
    char *path;   /* socket file to remove; NULL: none */
    struct child *children;
    size_t child_count;
};

/* --- the socket ----------------------------------------------------------------- */

static int
bind_listener(struct parent *p, char *why, size_t size)
{
    const struct settings *s = p->settings;
    struct sockspec spec;
    gid_t group = (gid_t)-1;
    char reason[160];
    int fd = -1;

    if (s->socket_group && !sockspec_group(s->socket_group, &group)) {
        snprintf(why, size, "socket-group: no group \"%s\"", s->socket_group);
        return -1;
    }
    if (sockspec_parse(s->socket, &spec, reason, sizeof reason))
        fd = sockspec_listen(&spec, (mode_t)s->socket_mode, group, reason, sizeof reason);
    if (fd < 0)
        snprintf(why, size, "%s: %s", s->socket, reason);
    else if (sockspec_is_unix(&spec))
        p->path = alloc_string(sockspec_path(&spec));
    return fd;
}

/* Children wait for one connection together; without O_NONBLOCK those that lose the race would hang
 * in accept until the next one, also when they are to stop. */
static bool
make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* For a libmilter that cannot take a descriptor: it makes the socket, and one process serves. */
static bool
let_libmilter_listen(struct parent *p, char *why, size_t size)
{
    mode_t old_mask;
    bool is_open;

    close(p->listener);
    p->listener = -1;
    p->child_count = 1;
    old_mask = umask((mode_t)(~p->settings->socket_mode & 0777));
    is_open = callbacks_use_socket(p->settings->socket);
    umask(old_mask);
    if (is_open)
        log_warning("this libmilter takes no ready socket, so one process serves");
    else
        snprintf(why, size, "libmilter cannot listen on %s", p->settings->socket);
    return is_open;
}

static bool
open_listener(struct parent *p, char *why, size_t size)
{
    p->listener = daemon_systemd_sockets() > 0 ? SYSTEMD_FIRST_FD : bind_listener(p, why, size);
    if (p->listener < 0)
        return false;
    if (!make_nonblocking(p->listener)) {
        snprintf(why, size, "listening socket: %s", strerror(errno));
        return false;
    }
    sockspec_keep_alive(p->listener); /* libmilter accepts */
    return callbacks_use_descriptor(p->listener) || let_libmilter_listen(p, why, size);
}

static void
watched_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGCHLD);
}

/* From before the socket is there: who can reach us can end us, and the socket file goes too. */
static void
block_signals(void)
{
    sigset_t set;

    watched_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

struct parent *
parent_new(const char *config, struct settings *settings, char *why, size_t size)
{
    struct parent *p = alloc_zero(1, sizeof *p);

    p->config = config;
    p->settings = settings;
    p->listener = -1;
    p->child_count = (size_t)settings->processes;
    block_signals();
    if (!open_listener(p, why, size)) {
        parent_free(p);
        return NULL;
    }
    p->children = alloc_zero(p->child_count, sizeof *p->children);
    return p;
}

void
parent_free(struct parent *p)
{
    if (!p)
        return;
    /* Not possible any more in a folder of root's; then the next start clears it. */
    if (p->path && unlink(p->path) != 0 && errno != ENOENT && errno != EACCES)
        log_errno("%s cannot be removed", p->path);
    if (p->listener >= 0)
        close(p->listener);
    settings_free(p->settings);
    free(p->children);
    free(p->path);
    free(p);
}

/* --- children ------------------------------------------------------------------- */

/* What a child must not share: the channels of its elder siblings would stay open through it. */
static void
leave_parent(struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        if (p->children[i].pid > 0)
            close(p->children[i].channel);
    }
    free(p->children);
    free(p->path);
    p->children = NULL;
    p->path = NULL;
    p->child_count = 0;
}

static void
delay_restart(struct child *c)
{
    int64_t now = clock_boot_ms();

    if (now - c->started_ms >= HEALTHY_MS || c->delay_ms == 0)
        c->delay_ms = RESTART_FIRST_MS;
    else
        c->delay_ms = c->delay_ms * 2 < RESTART_MAX_MS ? c->delay_ms * 2 : RESTART_MAX_MS;
    c->start_at_ms = now + c->delay_ms;
}

/* In the parent: returns -1. In the child: serves and returns its exit code. */
static int
start_child(struct parent *p, struct child *c)
{
    struct settings *settings;
    int child_end;
    pid_t pid;

    c->started_ms = clock_boot_ms();
    if (!handover_open(&c->channel, &child_end)) {
        log_errno("no channel for a child");
        delay_restart(c);
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        close(c->channel);
        leave_parent(p);
        settings = p->settings;
        p->settings = NULL;
        return worker_run(settings, child_end);
    }
    close(child_end);
    if (pid < 0) {
        log_errno("no child process");
        close(c->channel);
        delay_restart(c);
        return -1;
    }
    c->pid = pid;
    return -1;
}

/* Starts what is due. As start_child: -1 in the parent, an exit code in a child. */
static int
start_children(struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];
        int exit_code;
        if (c->pid != 0 || c->start_at_ms > clock_boot_ms())
            continue;
        exit_code = start_child(p, c);
        if (exit_code >= 0)
            return exit_code;
    }
    return -1;
}

static struct child *
child_of(struct parent *p, pid_t pid)
{
    for (size_t i = 0; i < p->child_count; i++) {
        if (p->children[i].pid == pid)
            return &p->children[i];
    }
    return NULL;
}

static void
log_death(pid_t pid, int status, int64_t delay_ms)
{
    if (WIFSIGNALED(status))
        log_error("child %ld was killed by signal %d; the next one starts in %lld ms", (long)pid,
                  WTERMSIG(status), (long long)delay_ms);
    else
        log_error("child %ld ended with status %d; the next one starts in %lld ms", (long)pid,
                  WEXITSTATUS(status), (long long)delay_ms);
}

static void
bury_children(struct parent *p)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *c = child_of(p, pid);
        if (!c)
            continue;
        c->pid = 0;
        close(c->channel);
        delay_restart(c);
        log_death(pid, status, c->delay_ms);
    }
}

static void
reload(struct parent *p)
{
    char error[512];
    struct settings *next = settings_reload(p->config, p->settings, error, sizeof error);

    daemon_reloading();
    if (next) {
        settings_free(p->settings);
        p->settings = next;
        for (size_t i = 0; i < p->child_count; i++) {
            const struct child *c = &p->children[i];
            if (c->pid != 0 && !handover_send(c->channel, next))
                log_error("child %ld does not take the new settings", (long)c->pid);
        }
        log_info("settings were read again");
    } else {
        log_error("the old settings stay: %s", error);
    }
    daemon_ready();
}

/* --- the loop ------------------------------------------------------------------- */

/* How long until the next child is due; -1 when all are running. */
static int64_t
next_start_ms(const struct parent *p)
{
    int64_t now = clock_boot_ms(), least = -1;

    for (size_t i = 0; i < p->child_count; i++) {
        const struct child *c = &p->children[i];
        int64_t left = c->start_at_ms > now ? c->start_at_ms - now : 0;
        if (c->pid == 0 && (least < 0 || left < least))
            least = left;
    }
    return least;
}

/* Waits for one of the watched signals, at most `limit_ms` (-1: for ever). 0: none came. */
static int
wait_signal(int64_t limit_ms)
{
    struct timespec limit = {.tv_sec = limit_ms / 1000, .tv_nsec = limit_ms % 1000 * 1000000};
    sigset_t set;
    int signal_number;

    watched_signals(&set);
    signal_number = limit_ms < 0 ? sigwaitinfo(&set, NULL) : sigtimedwait(&set, NULL, &limit);
    return signal_number > 0 ? signal_number : 0;
}

static size_t
living_children(const struct parent *p)
{
    size_t count = 0;

    for (size_t i = 0; i < p->child_count; i++)
        count += p->children[i].pid != 0;
    return count;
}

static void
signal_children(const struct parent *p, int signal_number)
{
    for (size_t i = 0; i < p->child_count; i++) {
        if (p->children[i].pid != 0)
            kill(p->children[i].pid, signal_number);
    }
}

/* A child ends when its channel is closed, after the callbacks that are at work; libmilter's own
 * way out, SIGTERM, takes up to five seconds. Who does not end is killed. */
static void
stop_children(struct parent *p)
{
    int64_t until_ms = clock_boot_ms() + STOP_MS;
    pid_t pid;

    for (size_t i = 0; i < p->child_count; i++) {
        if (p->children[i].pid != 0)
            close(p->children[i].channel);
    }
    while (living_children(p) > 0) {
        int64_t left_ms = until_ms - clock_boot_ms();
        if (left_ms <= 0) {
            log_warning("children that do not end are killed");
            signal_children(p, SIGKILL);
            left_ms = until_ms = INT64_MAX / 2;
        }
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
            struct child *c = child_of(p, pid);
            if (c)
                c->pid = 0;
        }
        if (living_children(p) > 0)
            wait_signal(left_ms > 1000 ? 1000 : left_ms);
    }
}

int
parent_run(struct parent *p)
{
    daemon_ready(); /* the socket queues; a child must not inherit what start-up holds open */
    for (;;) {
        int exit_code = start_children(p);
        if (exit_code >= 0)
            return exit_code;
        switch (wait_signal(next_start_ms(p))) {
        case SIGCHLD:
            bury_children(p);
            break;
        case SIGHUP:
            reload(p);
            break;
        case SIGTERM:
        case SIGINT:
            daemon_stopping();
            stop_children(p);
            return DAEMON_EXIT_OK;
        }
    }
}
