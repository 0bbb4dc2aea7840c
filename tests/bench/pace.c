/* pace - asks one question after the other at a steady rate, and checks every reply: how long an
 * answer takes when the asker is not the load.
 * usage: pace SOCKET KIND DOMAINS RATE SECONDS
 * Prints a line like load's. A question that falls due while one is unanswered is asked late, and
 * its wait counts from when it was due. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/sockspec.h"
#include "tests/bench/names.h"
#include "tests/bench/times.h"

enum { PATIENCE_MS = 20000 };

static _Noreturn void
fail(const char *what)
{
    fprintf(stderr, "pace: %s\n", what);
    exit(1);
}

static void
sleep_until(int64_t at_ns)
{
    struct timespec at = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static void
ask(int fd, enum names_kind kind, unsigned number)
{
    char domain[NAMES_SIZE], question[NAMES_FRAME_SIZE], wanted[NAMES_FRAME_SIZE];
    char got[NAMES_FRAME_SIZE];
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    size_t domain_len = names_domain(kind, number, domain);
    size_t question_len = names_question(domain, domain_len, question);
    size_t wanted_len = names_answer(domain, domain_len, wanted), len = 0;
    ssize_t n;

    if (send(fd, question, question_len, MSG_NOSIGNAL) != (ssize_t)question_len)
        fail("cannot send");
    while (len < wanted_len) {
        if (poll(&readable, 1, PATIENCE_MS) != 1 ||
            (n = read(fd, got + len, sizeof got - len)) <= 0)
            fail("no answer");
        len += (size_t)n;
    }
    if (len != wanted_len || memcmp(got, wanted, len) != 0)
        fail("wrong answer");
}

int
main(int argc, char **argv)
{
    static struct times times;
    struct sockspec spec;
    char why[128];
    int64_t begin_ns, due_ns, step_ns, end_ns;
    unsigned domains, count = 0;
    int fd;

    if (argc != 6)
        fail("usage: pace SOCKET KIND DOMAINS RATE SECONDS");
    if (!sockspec_parse(argv[1], &spec, why, sizeof why))
        fail(why);
    domains = (unsigned)strtoul(argv[3], NULL, 10);
    step_ns = (int64_t)(1e9 / strtod(argv[4], NULL));
    fd = sockspec_connect(&spec);
    if (fd < 0)
        fail("cannot connect");
    begin_ns = due_ns = times_now_ns();
    end_ns = begin_ns + (int64_t)(strtod(argv[5], NULL) * 1e9);
    for (; due_ns < end_ns; due_ns += step_ns) {
        sleep_until(due_ns);
        ask(fd, (enum names_kind)argv[2][0], count++ % domains);
        times_add(&times, times_now_ns() - due_ns);
    }
    printf("%u %s %s %.1f %.1f %.1f\n", count, argv[5], argv[4], times_percentile(&times, 50),
           times_percentile(&times, 99), times_percentile(&times, 100));
    close(fd);
    return 0;
}
