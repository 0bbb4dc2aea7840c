#include "tests/fake/redis_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cached/resp.h"
#include "common/sockspec.h"

enum { PATH_SIZE = 160, WORDS_MAX = 16, PATIENCE_MS = 10000, COMMAND_S = 5 };

struct redis_lab {
    char directory[PATH_SIZE], socket[PATH_SIZE + 32];
    pid_t pid; /* 0: does not run */
    char text[RESP_BULK_MAX];
};

static int
connect_to(const struct redis_lab *lab)
{
    struct timeval limit = {.tv_sec = COMMAND_S};
    struct sockspec spec;
    char why[200];
    int fd;

    assert_true(sockspec_parse(lab->socket, &spec, why, sizeof why));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&spec.addr, spec.len) == 0)
        return fd;
    close(fd);
    return -1;
}

static void
exec_server(const struct redis_lab *lab)
{
    const char *socket_path = lab->socket + strlen("unix:");

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* when the test crashes */
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "",
           "--appendonly", "no", "--dir", lab->directory, "--logfile", "redis.log", NULL);
    fprintf(stderr, "redis-server: %s\n", strerror(errno));
    _exit(127);
}

void
redis_lab_start(struct redis_lab *lab)
{
    int fd = -1;

    lab->pid = fork();
    assert_true(lab->pid >= 0);
    if (lab->pid == 0)
        exec_server(lab);
    for (int waited = 0; waited < PATIENCE_MS && (fd = connect_to(lab)) < 0; waited += 10) {
        if (waitpid(lab->pid, NULL, WNOHANG) == lab->pid) {
            lab->pid = 0;
            fail_msg("redis-server did not start: is it installed?");
        }
        usleep(10 * 1000);
    }
    assert_true(fd >= 0);
    close(fd);
}

void
redis_lab_kill(struct redis_lab *lab)
{
    if (lab->pid == 0)
        return;
    kill(lab->pid, SIGKILL);
    waitpid(lab->pid, NULL, 0);
    lab->pid = 0;
    unlink(lab->socket + strlen("unix:"));
}

void
redis_lab_hang(struct redis_lab *lab)
{
    kill(lab->pid, SIGSTOP);
}

void
redis_lab_wake(struct redis_lab *lab)
{
    kill(lab->pid, SIGCONT);
}

struct redis_lab *
redis_lab_new(void)
{
    struct redis_lab *lab = alloc_zero(1, sizeof *lab);
    const char *base = getenv("TMPDIR");

    snprintf(lab->directory, sizeof lab->directory, "%s/sts-redis-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(lab->directory));
    snprintf(lab->socket, sizeof lab->socket, "unix:%s/redis.sock", lab->directory);
    redis_lab_start(lab);
    return lab;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st, (void)kind, (void)place;
    return remove(path);
}

void
redis_lab_free(struct redis_lab *lab)
{
    redis_lab_kill(lab);
    assert_int_equal(nftw(lab->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(lab);
}

const char *
redis_lab_socket(const struct redis_lab *lab)
{
    return lab->socket;
}

const char *
redis_lab_directory(const struct redis_lab *lab)
{
    return lab->directory;
}

/* --- commands --------------------------------------------------------------------------------- */

static void
note_reply(struct redis_lab *lab, const struct resp *reply)
{
    struct span bytes = resp_bytes(reply);

    if (resp_type(reply) == RESP_INTEGER)
        snprintf(lab->text, sizeof lab->text, "%lld", (long long)resp_integer(reply));
    else if (resp_type(reply) == RESP_ARRAY)
        snprintf(lab->text, sizeof lab->text, "%zu", resp_count(reply));
    else
        snprintf(lab->text, sizeof lab->text, "%.*s", (int)bytes.len,
                 bytes.len > 0 ? bytes.at : "");
}

static void
read_reply(struct redis_lab *lab, int fd)
{
    struct resp_reader *reader = resp_reader_new();
    const struct resp *reply;
    char bytes[4096];
    ssize_t got;

    do {
        got = read(fd, bytes, sizeof bytes);
        assert_true(got > 0);
        assert_true(resp_feed(reader, bytes, (size_t)got));
    } while (resp_next(reader, &reply) != RESP_READY);
    note_reply(lab, reply);
    resp_reader_free(reader);
}

const char *
redis_lab_do(struct redis_lab *lab, ...)
{
    struct span words[WORDS_MAX];
    struct buf out;
    size_t count = 0;
    va_list more;
    int fd = connect_to(lab);

    va_start(more, lab);
    for (const char *word; (word = va_arg(more, const char *)) != NULL;) {
        assert_true(count < WORDS_MAX);
        words[count++] = (struct span){word, strlen(word)};
    }
    va_end(more);
    assert_true(fd >= 0);
    buf_init(&out, 1 << 20);
    resp_write(&out, words, count);
    assert_int_equal(write(fd, out.data, out.len), out.len);
    read_reply(lab, fd);
    buf_done(&out);
    close(fd);
    return lab->text;
}
