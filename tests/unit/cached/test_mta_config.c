/* Which lines come out of which settings and versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cached/mta_config.h"
#include "cached/mta_host.h"
#include "cached/program.h"
#include "common/clock.h"

#define UNIX "unix:/run/sts-cached/query.sock"
#define INET "inet:8461@127.0.0.1"
#define IN_QUEUE "unix:/var/spool/postfix/sts/query.sock"
#define MILTER "unix:/run/sts-milter/milter.sock"

struct row {
    const char *name;
    enum mta mta;
    const char *listen[3], *version, *milter;
    const char *want[3], *absent; /* in the lines */
    bool unsafe, restricted, dane, free_of_chroot, observing, wall;
    const char *dns_support, *security_level;
};

#define OLD .version = "3.7.11"

static const struct row rows[] = {
    {"sendmail: a safe path",
     MTA_SENDMAIL,
     {INET, UNIX},
     .want = {"FEATURE(`sts_milter', `" UNIX "', `" MILTER "')dnl\n",
              "define(`confCACERT_PATH', `/etc/ssl/certs')dnl\n"}},
    {"sendmail: no safe path",
     MTA_SENDMAIL,
     {UNIX, INET},
     .unsafe = true,
     .want = {"`" INET "', `none')dnl\n", "dnl without the milter"}},
    {"sendmail: no socket suits", MTA_SENDMAIL, {UNIX}, .unsafe = true, .absent = "FEATURE"},
    {"sendmail: IPv6", MTA_SENDMAIL, {"inet6:8461@::"}, .want = {"`inet6:8461@[::1]'"}},
    {"sendmail: a wall",
     MTA_SENDMAIL,
     {UNIX},
     .wall = true,
     .want = {"`" MILTER "', `wall')dnl\n"}},
    {"sendmail: not for m4",
     MTA_SENDMAIL,
     {"unix:/run/it's/q", INET},
     .want = {"`" INET "'"},
     .absent = "it's"},
    {"postfix: inet first",
     MTA_POSTFIX,
     {IN_QUEUE, INET},
     OLD,
     .want = {"smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix\n",
              "# Postfix 3.7.11\n", "smtp_tls_security_level = may\n"}},
    {"postfix: everywhere is here",
     MTA_POSTFIX,
     {"inet:8461@0.0.0.0"},
     OLD,
     .want = {"inet:127.0.0.1:8461:"}},
    {"postfix: IPv6",
     MTA_POSTFIX,
     {"inet6:8461@::1"},
     OLD,
     .want = {"socketmap:inet:[::1]:8461:postfix\n"}},
    {"postfix: in its queue",
     MTA_POSTFIX,
     {UNIX, IN_QUEUE},
     OLD,
     .want = {"socketmap:unix:sts/query.sock:postfix\n"}},
    {"postfix: in its queue, no chroot",
     MTA_POSTFIX,
     {IN_QUEUE},
     OLD,
     .free_of_chroot = true,
     .want = {"socketmap:unix:/var/spool/postfix/sts/query.sock:postfix\n"}},
    {"postfix: beside its queue",
     MTA_POSTFIX,
     {"unix:/var/spool/postfix2/q", UNIX},
     OLD,
     .absent = "socketmap"},
    {"postfix: no chroot",
     MTA_POSTFIX,
     {UNIX},
     OLD,
     .free_of_chroot = true,
     .want = {"socketmap:" UNIX ":postfix\n",
              "smtpd_milters = " MILTER "\nmilter_default_action = accept\n"}},
    {"postfix: milter out of reach",
     MTA_POSTFIX,
     {INET},
     OLD,
     .want = {"# without the milter", "ListenStream=127.0.0.1:8462 in sts-milter.socket"},
     .absent = "smtpd_milters"},
    {"postfix: milter by inet",
     MTA_POSTFIX,
     {INET},
     OLD,
     .milter = "inet:8462@127.0.0.1",
     .wall = true,
     .want = {"smtpd_milters = inet:127.0.0.1:8462\nmilter_default_action = tempfail\n"}},
    {"postfix 3.4",
     MTA_POSTFIX,
     {INET},
     .version = "3.4.0",
     .want = {":postfix\n"},
     .absent = "too old"},
    {"postfix 3.3",
     MTA_POSTFIX,
     {INET},
     .version = "3.3.9",
     .want = {":postfix\n", "3.3.9 is too old"}},
    {"postfix 2.11", MTA_POSTFIX, {INET}, .version = "2.11.1", .want = {":postfix\n", "too old"}},
    {"postfix 3.9",
     MTA_POSTFIX,
     {INET},
     .version = "3.9.1",
     .want = {":postfix\n"},
     .absent = ":QUERY"},
    {"postfix 3.10", MTA_POSTFIX, {INET}, .version = "3.10.0", .want = {":QUERYwithTLSRPT\n"}},
    {"postfix snapshot",
     MTA_POSTFIX,
     {INET},
     .version = "3.12-20260821",
     .want = {":QUERYwithTLSRPT\n"}},
    {"postfix 4", MTA_POSTFIX, {INET}, .version = "4.0.1", .want = {":QUERYwithTLSRPT\n"}},
    {"postfix: no version",
     MTA_POSTFIX,
     {INET},
     .version = "",
     .want = {":postfix\n", "was not found"}},
    {"postfix: garbage",
     MTA_POSTFIX,
     {INET},
     .version = "3.10x",
     .want = {":postfix\n", "was not found"}},
    {"postfix: dane without dnssec",
     MTA_POSTFIX,
     {INET},
     OLD,
     .dane = true,
     .dns_support = "enabled",
     .want = {"# dane = on", "which has \"enabled\"", "\nsmtp_dns_support_level = dnssec\n"}},
    {"postfix: dane",
     MTA_POSTFIX,
     {INET},
     OLD,
     .dane = true,
     .dns_support = "dnssec",
     .want = {"\nsmtp_dns_support_level = dnssec\n"},
     .absent = "# dane"},
    {"postfix: its own dane",
     MTA_POSTFIX,
     {INET},
     OLD,
     .security_level = "dane",
     .want = {"# main.cf asks for DANE", "\nsmtp_tls_security_level = dane\n"}},
    {"postfix: its own dane, and ours",
     MTA_POSTFIX,
     {INET},
     OLD,
     .dane = true,
     .dns_support = "dnssec",
     .security_level = "dane",
     .want = {"\nsmtp_tls_security_level = dane\n"},
     .absent = "# main.cf"},
    {"exim: a path",
     MTA_EXIM,
     {INET, UNIX},
     .want = {"STS_SOCKET = /run/sts-cached/query.sock\n",
              "STS_CA_FILE = /etc/ssl/certs/ca-certificates.crt\n"}},
    {"exim: not for everybody",
     MTA_EXIM,
     {UNIX, INET},
     .restricted = true,
     .want = {"STS_SOCKET = inet:127.0.0.1:8461\n"}},
    {"exim: only that",
     MTA_EXIM,
     {UNIX},
     .restricted = true,
     .want = {"STS_SOCKET = /run", "socket-group only"}},
    {"exim: no port", MTA_EXIM, {"inet:0@127.0.0.1"}, .absent = "STS_SOCKET"},
    {"observing",
     MTA_EXIM,
     {UNIX},
     .observing = true,
     .want = {"# sts-cached is not in mode enforce"}},
};

static void
parse(const char *text, struct mta_socket *s)
{
    char why[200];

    assert_true(sockspec_parse(text, &s->spec, why, sizeof why));
}

static struct mta_facts
facts_of(const struct row *r)
{
    struct mta_facts f = {.everybody = !r->restricted,
                          .dane = r->dane,
                          .enforcing = !r->observing,
                          .ca_file = "/etc/ssl/certs/ca-certificates.crt",
                          .milter = r->mta != MTA_EXIM,
                          .milter_is_wall = r->wall};

    for (; f.listen_count < 3 && r->listen[f.listen_count] != NULL; f.listen_count++) {
        parse(r->listen[f.listen_count], &f.listen[f.listen_count]);
        f.listen[f.listen_count].safe_path = !r->unsafe;
    }
    parse(r->milter != NULL ? r->milter : MILTER, &f.milter_socket);
    f.milter_socket.safe_path = !r->unsafe;
    f.postfix.smtp_free = f.postfix.smtpd_free = r->free_of_chroot;
    snprintf(f.postfix.version, sizeof f.postfix.version, "%s",
             r->version != NULL ? r->version : "");
    snprintf(f.postfix.queue_directory, sizeof f.postfix.queue_directory, "/var/spool/postfix");
    snprintf(f.postfix.dns_support, sizeof f.postfix.dns_support, "%s",
             r->dns_support != NULL ? r->dns_support : "");
    snprintf(f.postfix.security_level, sizeof f.postfix.security_level, "%s",
             r->security_level != NULL ? r->security_level : "may");
    return f;
}

static void
test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct mta_facts facts = facts_of(r);
        struct mta_config made;
        const char *lines;

        mta_config_make(r->mta, &facts, &made);
        lines = buf_string(&made.lines);
        for (size_t k = 0; k < 3 && r->want[k] != NULL; k++) {
            if (strstr(lines, r->want[k]) == NULL)
                fail_msg("%s: no \"%s\" in:\n%s", r->name, r->want[k], lines);
        }
        if (r->absent != NULL && strstr(lines, r->absent) != NULL)
            fail_msg("%s: \"%s\" in:\n%s", r->name, r->absent, lines);
        if ((made.socket[0] == '\0') != (r->want[0] == NULL && r->absent != NULL))
            fail_msg("%s: the socket is \"%s\"", r->name, made.socket);
        mta_config_done(&made);
    }
}

static void
test_programs(void **state)
{
    static const struct {
        const char *script;
        enum program_status want;
        const char *output;
    } cases[] = {
        {"echo 3.7.11", PROGRAM_OK, "3.7.11\n"},
        {"exit 3", PROGRAM_FAILED, NULL},
        {"kill -9 $$", PROGRAM_FAILED, NULL},
        {"sleep 60", PROGRAM_TIMEOUT, NULL},
        {"sleep 60 & exit 0", PROGRAM_TIMEOUT, NULL},
        {"exec >&-; sleep 60", PROGRAM_TIMEOUT, NULL},
        {"while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done", PROGRAM_TOO_MUCH,
         NULL},
    };
    static const char *const missing[] = {"no-such-program-here", NULL};
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const argv[] = {"sh", "-c", cases[i].script, NULL};
        int64_t wait_ms = cases[i].want == PROGRAM_TIMEOUT ? 200 : 10000;
        int64_t began_ms = clock_boot_ms();

        buf_init(&out, 1000);
        if (program_output(argv, began_ms + wait_ms, &out) != cases[i].want)
            fail_msg("%s: another status", cases[i].script);
        assert_true(clock_boot_ms() - began_ms < 15000);
        if (cases[i].output != NULL)
            assert_string_equal(buf_string(&out), cases[i].output);
        buf_done(&out);
    }
    buf_init(&out, 1000);
    assert_int_equal(program_output(missing, clock_boot_ms() + 10000, &out), PROGRAM_MISSING);
    buf_done(&out);
}

static void
test_safe_paths(void **state)
{
    (void)state;
    assert_true(mta_host_is_safe_path("/usr/share/a.sock"));
    assert_true(mta_host_is_safe_path("/a.sock"));
    assert_false(mta_host_is_safe_path("/tmp/a.sock"));
    assert_true(mta_host_is_safe_path("/usr/no-such-folder/a.sock")); /* yet to be made */
    assert_true(mta_host_is_safe_path("/no/such/folder/a.sock"));
    assert_false(mta_host_is_safe_path("/tmp/no/such/folder/a.sock"));
    assert_false(mta_host_is_safe_path("/usr/bin/env/x/a.sock")); /* below a file */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_safe_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
