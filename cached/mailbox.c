#include "cached/mailbox.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

STAILQ_HEAD(mail_list, mail);

struct mailbox {
    pthread_mutex_t mutex; /* guards `list` */
    struct mail_list list;
    int wake_fd;
    struct event *wake;
    mailbox_read_fn *read;
    void *arg;
};

struct mail *
mailbox_take(struct mailbox *box)
{
    struct mail *mail;

    pthread_mutex_lock(&box->mutex);
    mail = STAILQ_FIRST(&box->list);
    if (mail != NULL)
        STAILQ_REMOVE_HEAD(&box->list, next);
    pthread_mutex_unlock(&box->mutex);
    return mail;
}

/* Reads what was there on waking, no more: a busy writer must not keep the loop from other work. */
static void
on_wake(evutil_socket_t fd, short kind, void *arg)
{
    struct mailbox *box = arg;
    struct mail_list batch = STAILQ_HEAD_INITIALIZER(batch);
    struct mail *mail;
    uint64_t count;

    (void)kind;
    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
        abort();
    pthread_mutex_lock(&box->mutex);
    STAILQ_CONCAT(&batch, &box->list);
    pthread_mutex_unlock(&box->mutex);
    while ((mail = STAILQ_FIRST(&batch)) != NULL) {
        STAILQ_REMOVE_HEAD(&batch, next);
        box->read(mail, box->arg);
    }
}

struct mailbox *
mailbox_new(struct event_base *base, mailbox_read_fn *read, void *arg)
{
    struct mailbox *box = alloc_zero(1, sizeof(*box));

    STAILQ_INIT(&box->list);
    pthread_mutex_init(&box->mutex, NULL);
    box->read = read;
    box->arg = arg;
    box->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    box->wake = event_new(base, box->wake_fd, EV_READ | EV_PERSIST, on_wake, box);
    if (box->wake_fd < 0 || box->wake == NULL || event_add(box->wake, NULL) < 0)
        abort();
    return box;
}

void
mailbox_free(struct mailbox *box)
{
    if (box == NULL)
        return;
    event_free(box->wake);
    close(box->wake_fd);
    pthread_mutex_destroy(&box->mutex);
    free(box);
}

void
mailbox_post(struct mailbox *box, struct mail *mail)
{
    const uint64_t one = 1;
    bool was_empty;

    pthread_mutex_lock(&box->mutex);
    was_empty = STAILQ_EMPTY(&box->list);
    STAILQ_INSERT_TAIL(&box->list, mail, next);
    pthread_mutex_unlock(&box->mutex);
    /* The first one wakes the reader, who takes all. */
    if (was_empty && write(box->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        abort();
}
