#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cached/dns_servers.h"
#include "common/buf.h"
#include "common/clock.h"

static const struct conf_list none;
static char path[64];
static int64_t now_ms = 1000000;

static void
pass(int64_t ms)
{
    now_ms += ms;
    clock_fake(now_ms, 0);
}

/* A new file each time, as resolvconf and its like do it. */
static void
write_file(const char *text)
{
    char next[80];
    snprintf(next, sizeof(next), "%s.new", path);
    FILE *file = fopen(next, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(next, path), 0);
}

static int
make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "/tmp/test_dns_servers.XXXXXX");
    int fd = mkstemp(path);
    pass(0);
    return fd < 0 || close(fd) != 0;
}

static int
remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

/* The order as "address:port address:port". */
static const char *
order(struct dns_servers *servers)
{
    static char text[512];
    struct sockspec list[DNS_SERVERS_MAX];
    size_t count = dns_servers_order(servers, list), used = 0;

    for (size_t i = 0; i < count; i++) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&list[i].addr;
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&list[i].addr;
        char host[INET6_ADDRSTRLEN];
        bool is_v4 = v4->sin_family == AF_INET;
        inet_ntop(v4->sin_family, is_v4 ? (const void *)&v4->sin_addr : &v6->sin6_addr, host,
                  sizeof(host));
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s:%d", i ? " " : "", host,
                                 ntohs(v4->sin_port));
        if (!is_v4 && v6->sin6_scope_id != 0)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%%%u", v6->sin6_scope_id);
    }
    return text;
}

static struct dns_servers *
from_file(void)
{
    char why[256];
    struct dns_servers *servers = dns_servers_new(&none, path, why, sizeof(why));

    assert_non_null(servers);
    return servers;
}

static void
test_resolv_conf(void **state)
{
    static const struct {
        const char *text, *wanted;
    } files[] = {
        {"nameserver 192.0.2.1\n", "192.0.2.1:53"},
        {"nameserver\t192.0.2.1\nnameserver 2001:db8::1", "192.0.2.1:53 2001:db8::1:53"},
        {"# x\n;nameserver 192.0.2.7\nsearch a\noptions edns0\nnameserver 192.0.2.1 # y\n",
         "192.0.2.1:53"},
        {"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
         "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53"},
        {"nameserver x\nnameserver dns.example.com\nnameserver 192.0.2.1\n", "192.0.2.1:53"},
        {"nameserver fe80::1%lo\n", "fe80::1:53%1"},
        {"nameserver\n", "127.0.0.1:53"},
        {"", "127.0.0.1:53"},
    };

    (void)state;
    assert_int_equal(if_nametoindex("lo"), 1);
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        write_file(files[i].text);
        struct dns_servers *servers = from_file();
        assert_string_equal(order(servers), files[i].wanted);
        dns_servers_free(servers);
    }
}

static void
test_file_that_is_away(void **state)
{
    struct dns_servers *servers;

    (void)state;
    unlink(path);
    servers = from_file();
    assert_string_equal(order(servers), "127.0.0.1:53");
    write_file("nameserver 192.0.2.1\n");
    pass(DNS_SERVERS_STAT_MS);
    assert_string_equal(order(servers), "192.0.2.1:53");
    unlink(path);
    pass(DNS_SERVERS_STAT_MS);
    assert_string_equal(order(servers), "192.0.2.1:53");
    dns_servers_free(servers);
}

static void
test_file_that_changes(void **state)
{
    struct dns_servers *servers;

    (void)state;
    write_file("nameserver 192.0.2.1\n");
    servers = from_file();
    write_file("nameserver 192.0.2.2\n");
    pass(DNS_SERVERS_STAT_MS - 1);
    assert_string_equal(order(servers), "192.0.2.1:53");
    pass(1);
    assert_string_equal(order(servers), "192.0.2.2:53");
    dns_servers_free(servers);
}

static void
test_listed(void **state)
{
    char a[] = "inet:5301@127.0.0.1", b[] = "inet6:53@::1", *items[] = {a, b}, why[256];
    struct conf_list listed = {items, 2};
    struct dns_servers *servers;

    (void)state;
    write_file("nameserver 192.0.2.1\n");
    servers = dns_servers_new(&listed, path, why, sizeof(why));
    assert_non_null(servers);
    assert_string_equal(order(servers), "127.0.0.1:5301 ::1:53");
    dns_servers_free(servers);
}

static void
test_too_many_listed(void **state)
{
    char a[] = "inet:53@127.0.0.1", *items[DNS_SERVERS_MAX + 1], why[256] = "";
    struct conf_list listed = {items, DNS_SERVERS_MAX + 1};
    struct dns_servers *servers;

    (void)state;
    for (size_t i = 0; i < listed.count; i++)
        items[i] = a;
    assert_null(dns_servers_new(&listed, path, why, sizeof(why)));
    assert_non_null(strstr(why, "more than 8"));
    listed.count = DNS_SERVERS_MAX;
    servers = dns_servers_new(&listed, path, why, sizeof(why));
    assert_non_null(servers);
    dns_servers_free(servers);
}

static void
test_silent_goes_last(void **state)
{
    struct sockspec list[DNS_SERVERS_MAX];
    struct dns_servers *servers;

    (void)state;
    write_file("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n");
    servers = from_file();
    dns_servers_order(servers, list);
    dns_servers_silent(servers, &list[0]);
    assert_string_equal(order(servers), "192.0.2.2:53 192.0.2.3:53 192.0.2.1:53");
    dns_servers_silent(servers, &list[1]);
    dns_servers_silent(servers, &list[2]);
    assert_string_equal(order(servers), "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53");
    pass(DNS_SERVERS_SILENT_MS);
    dns_servers_silent(servers, &list[1]);
    assert_string_equal(order(servers), "192.0.2.1:53 192.0.2.3:53 192.0.2.2:53");
    dns_servers_free(servers);
    dns_servers_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolv_conf),       cmocka_unit_test(test_file_that_is_away),
        cmocka_unit_test(test_file_that_changes), cmocka_unit_test(test_listed),
        cmocka_unit_test(test_too_many_listed),   cmocka_unit_test(test_silent_goes_last),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
