#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/sockspec.h"

#define PATH_107                                                                                   \
    "/23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"   \
    "12345678901234567"

static const struct {
    const char *spec;
    int family; /* 0: refused */
    bool local;
    const char *why; /* part of it */
} specs[] = {
    {"unix:/run/x.sock", AF_UNIX, true, NULL},
    {"local:/run/x.sock", AF_UNIX, true, NULL},
    {"/run/x.sock", AF_UNIX, true, NULL},
    {"unix:" PATH_107, AF_UNIX, true, NULL},
    {"inet:53@127.0.0.1", AF_INET, true, NULL},
    {"inet:53@127.9.9.9", AF_INET, true, NULL},
    {"inet:53@localhost", AF_INET, true, NULL},
    {"inet:53@192.0.2.1", AF_INET, false, NULL},
    {"inet:0@0.0.0.0", AF_INET, false, NULL},
    {"inet:65535@10.0.0.1", AF_INET, false, NULL},
    {"inet6:53@::1", AF_INET6, true, NULL},
    {"inet6:53@[::1]", AF_INET6, true, NULL},
    {"inet6:53@localhost", AF_INET6, true, NULL},
    {"inet6:53@2001:db8::5", AF_INET6, false, NULL},
    {"inet6:0@::", AF_INET6, false, NULL},
    {"unix:" PATH_107 "x", 0, false, "at most 107"},
    {"unix:run/x", 0, false, "begin with /"},
    {"unix:", 0, false, "begin with /"},
    {"", 0, false, "unix:/PATH"},
    {"tcp:53@127.0.0.1", 0, false, "unix:/PATH"},
    {"127.0.0.1:53", 0, false, "unix:/PATH"},
    {"inet:65536@127.0.0.1", 0, false, "0 to 65535"},
    {"inet:123456@127.0.0.1", 0, false, "0 to 65535"},
    {"inet:-1@127.0.0.1", 0, false, "0 to 65535"},
    {"inet:x@127.0.0.1", 0, false, "0 to 65535"},
    {"inet:@127.0.0.1", 0, false, "0 to 65535"},
    {"inet:53", 0, false, "@ADDRESS"},
    {"inet:53 @127.0.0.1", 0, false, "@ADDRESS"},
    {"inet:53@", 0, false, "no IPv4"},
    {"inet:53@::1", 0, false, "no IPv4"},
    {"inet:53@[127.0.0.1]", 0, false, "no IPv4"},
    {"inet:53@127.1", 0, false, "no IPv4"},
    {"inet:53@ns.example.com", 0, false, "not looked up"},
    {"inet6:53@127.0.0.1", 0, false, "no IPv6"},
    {"inet6:53@[]", 0, false, "no IPv6"},
    {"inet6:53@[::1", 0, false, "no IPv6"},
    {"inet6:53@::1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20:21:22:23:24", 0, false,
     "no IPv6"},
};

static void
test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct sockspec spec;
        char why[200] = "";
        bool got = sockspec_parse(specs[i].spec, &spec, why, sizeof why);

        if (got != (specs[i].family != 0))
            fail_msg("%s: %d %s", specs[i].spec, got, why);
        if (!got && strstr(why, specs[i].why) == NULL)
            fail_msg("%s: why is \"%s\"", specs[i].spec, why);
        if (got &&
            (spec.addr.ss_family != specs[i].family || sockspec_is_local(&spec) != specs[i].local ||
             sockspec_is_unix(&spec) != (specs[i].family == AF_UNIX)))
            fail_msg("%s: family %d", specs[i].spec, spec.addr.ss_family);
    }
}

static void
test_parse_values(void **state)
{
    struct sockspec spec;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    char why[200], text[64];

    (void)state;
    assert_true(sockspec_parse("inet:8461@192.0.2.7", &spec, why, sizeof why));
    memcpy(&in, &spec.addr, sizeof in);
    assert_int_equal(ntohs(in.sin_port), 8461);
    assert_string_equal(inet_ntop(AF_INET, &in.sin_addr, text, sizeof text), "192.0.2.7");
    assert_true(sockspec_parse("inet6:25@[2001:db8::7]", &spec, why, sizeof why));
    memcpy(&in6, &spec.addr, sizeof in6);
    assert_int_equal(ntohs(in6.sin6_port), 25);
    assert_string_equal(inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text), "2001:db8::7");
    assert_true(sockspec_parse("unix:/a/b", &spec, why, sizeof why));
    assert_string_equal(sockspec_path(&spec), "/a/b");
}

/* --- sockets in a directory of our own ------------------------------------------ */

static char directory[] = "/tmp/test_sockspec.XXXXXX";
static char path[100];
static struct sockspec spec;
static char why[300];

static int
set_up(void **state)
{
    char text[120];

    (void)state;
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s", directory);
    snprintf(text, sizeof text, "unix:%s", path);
    return sockspec_parse(text, &spec, why, sizeof why) ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static mode_t
mode_of_path(void)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void
test_listen_unix(void **state)
{
    struct stat st;
    int fd, client;

    (void)state;
    umask(0077);
    fd = sockspec_listen(&spec, 0666, getgid(), why, sizeof why);
    assert_true(fd >= 0);
    assert_int_equal(mode_of_path(), 0666);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_gid, getgid());
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    client = sockspec_connect(&spec);
    assert_true(client >= 0);
    assert_true(fcntl(client, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(client, F_GETFL) & O_NONBLOCK);
    close(client);
    close(fd);
}

static void
test_stale_socket_is_replaced(void **state)
{
    int fd;

    (void)state;
    close(sockspec_listen(&spec, 0600, (gid_t)-1, why, sizeof why));
    assert_int_equal(sockspec_connect(&spec), -1);
    assert_int_equal(errno, ECONNREFUSED);
    fd = sockspec_listen(&spec, 0660, (gid_t)-1, why, sizeof why);
    assert_true(fd >= 0);
    assert_int_equal(mode_of_path(), 0660);
    close(fd);
}

static void
test_live_socket_is_left_alone(void **state)
{
    int fd = sockspec_listen(&spec, 0600, (gid_t)-1, why, sizeof why), client;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(sockspec_listen(&spec, 0666, (gid_t)-1, why, sizeof why), -1);
    assert_non_null(strstr(why, "in use by a running program"));
    assert_int_equal(mode_of_path(), 0600);
    client = sockspec_connect(&spec);
    assert_true(client >= 0);
    close(client);
    close(fd);
}

static void
test_a_file_is_left_alone(void **state)
{
    FILE *file = fopen(path, "w");

    (void)state;
    assert_non_null(file);
    fputs("precious", file);
    fclose(file);
    assert_int_equal(sockspec_listen(&spec, 0666, (gid_t)-1, why, sizeof why), -1);
    assert_non_null(strstr(why, "no socket"));
    assert_int_equal(access(path, F_OK), 0);
}

static void
test_no_such_directory(void **state)
{
    struct sockspec nowhere;

    (void)state;
    assert_true(sockspec_parse("unix:/nonexistent/dir/s", &nowhere, why, sizeof why));
    assert_int_equal(sockspec_listen(&nowhere, 0666, (gid_t)-1, why, sizeof why), -1);
    assert_string_equal(why, "cannot make /nonexistent/dir: No such file or directory");
    assert_int_equal(sockspec_connect(&nowhere), -1);
    assert_int_equal(errno, ENOENT);
}

static void
test_folder_is_made(void **state)
{
    char text[140], folder[120];
    struct sockspec below;
    struct stat st;
    int fd;

    (void)state;
    snprintf(folder, sizeof folder, "%s.d", path);
    snprintf(text, sizeof text, "unix:%s/s", folder);
    assert_true(sockspec_parse(text, &below, why, sizeof why));
    umask(0077);
    fd = sockspec_listen(&below, 0660, (gid_t)-1, why, sizeof why);
    if (fd < 0)
        fail_msg("%s", why);
    assert_int_equal(umask(0077), 0077);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    close(fd);
    assert_int_equal(chmod(folder, 0700), 0);
    fd = sockspec_listen(&below, 0660, (gid_t)-1, why, sizeof why);
    assert_true(fd >= 0);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700); /* one that is there is left as it is */
    close(fd);
    assert_int_equal(unlink(sockspec_path(&below)), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void
test_listen_inet(void **state)
{
    struct sockspec any, taken;
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    char text[40];
    int fd, client;

    (void)state;
    assert_true(sockspec_parse("inet:0@127.0.0.1", &any, why, sizeof why));
    fd = sockspec_listen(&any, 0, (gid_t)-1, why, sizeof why);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    assert_int_not_equal(in.sin_port, 0);
    snprintf(text, sizeof text, "inet:%u@127.0.0.1", ntohs(in.sin_port));
    assert_true(sockspec_parse(text, &taken, why, sizeof why));
    assert_int_equal(sockspec_listen(&taken, 0, (gid_t)-1, why, sizeof why), -1);
    assert_string_equal(why, "cannot bind: Address already in use");
    client = sockspec_connect(&taken);
    assert_true(client >= 0);
    close(client);
    close(fd);
}

static int
tcp_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof value;

    getsockopt(fd, IPPROTO_TCP, option, &value, &len);
    return value;
}

/* An accepted connection inherits it; a unix socket takes no notice. */
static void
test_keep_alive(void **state)
{
    struct sockaddr_in in;
    struct sockspec any;
    socklen_t len = sizeof in;
    int fd, client, accepted, is_on = 0, pair[2];

    (void)state;
    assert_true(sockspec_parse("inet:0@127.0.0.1", &any, why, sizeof why));
    fd = sockspec_listen(&any, 0, (gid_t)-1, why, sizeof why);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    memcpy(&any.addr, &in, sizeof in);
    sockspec_keep_alive(fd);
    client = sockspec_connect(&any);
    accepted = accept(fd, NULL, NULL);
    assert_true(accepted >= 0);
    len = sizeof is_on;
    assert_int_equal(getsockopt(accepted, SOL_SOCKET, SO_KEEPALIVE, &is_on, &len), 0);
    assert_int_equal(is_on, 1);
    assert_int_equal(tcp_option(accepted, TCP_KEEPIDLE), SOCKSPEC_ALIVE_IDLE_S);
    assert_int_equal(tcp_option(accepted, TCP_KEEPINTVL), SOCKSPEC_ALIVE_INTERVAL_S);
    assert_int_equal(tcp_option(accepted, TCP_KEEPCNT), SOCKSPEC_ALIVE_TRIES);
    close(accepted);
    close(client);
    close(fd);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    sockspec_keep_alive(pair[0]);
    close(pair[0]);
    close(pair[1]);
}

static void
test_group(void **state)
{
    gid_t gid = 4711;

    (void)state;
    assert_true(sockspec_group("root", &gid));
    assert_int_equal(gid, 0);
    assert_true(sockspec_group("12345", &gid));
    assert_int_equal(gid, 12345);
    assert_false(sockspec_group("no-such-group", &gid));
    assert_false(sockspec_group("4294967295", &gid));
    assert_false(sockspec_group("12x", &gid));
    assert_false(sockspec_group("", &gid));
    assert_int_equal(gid, 12345);
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_values),
        WITH_DIRECTORY(test_listen_unix),
        WITH_DIRECTORY(test_stale_socket_is_replaced),
        WITH_DIRECTORY(test_live_socket_is_left_alone),
        WITH_DIRECTORY(test_a_file_is_left_alone),
        WITH_DIRECTORY(test_folder_is_made),
        cmocka_unit_test(test_no_such_directory),
        cmocka_unit_test(test_listen_inet),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
