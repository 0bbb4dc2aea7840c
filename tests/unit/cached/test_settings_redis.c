#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cached/settings.h"
#include "cached/settings_redis.h"
#include "common/log.h"

#define LETTERS16 "abcdefghijklmnop"
#define LETTERS64 LETTERS16 LETTERS16 LETTERS16 LETTERS16
#define NEAR "server = \"inet:6379@127.0.0.1\" "
#define FAR "server = \"inet:6379@192.0.2.1\" "
#define SENTINELS "sentinels = { \"inet:26379@127.0.0.1\", \"inet6:26379@::1\" } "

/* "@" in a text stands for it. */
static char directory[] = "/tmp/test_settings_redis.XXXXXX";

static void
make_file(const char *name, const char *text, mode_t mode)
{
    char path[100];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

/* Addresses hold an "@" of their own: only the one before a slash is ours. */
static void
make_config(const char *text)
{
    char config[1000];
    size_t used = 0;

    for (; *text != '\0'; text++) {
        if (text[0] == '@' && text[1] == '/')
            used += (size_t)snprintf(config + used, sizeof config - used, "%s", directory);
        else
            config[used++] = *text;
        assert_true(used + 1 < sizeof config);
    }
    config[used] = '\0';
    make_file("config", config, 0644);
}

static struct settings *
settings_of(const char *text, char *error, size_t size)
{
    char path[100];

    make_config(text);
    snprintf(path, sizeof path, "%s/config", directory);
    error[0] = '\0';
    return settings_read(path, error, size);
}

/* `error` NULL: it is right. Else what stands behind the name of the file. */
static const struct {
    const char *text, *error;
} cases[] = {
    /* no Redis */
    {"redis { }", NULL},
    {"redis { key-file = \"@/missing\" tls = on }", NULL},

    /* which server */
    {"redis { " NEAR "}", NULL},
    {"redis { server = \"unix:/r.sock\" }", NULL},
    {"redis { " SENTINELS "master-name = sts }", NULL},
    {"redis { " NEAR "\n" SENTINELS "master-name = sts }",
     ":2: redis.sentinels: either server or sentinels, not both"},
    {"\nredis { " SENTINELS "}",
     ":2: redis.sentinels: master-name must say which master to ask them for"},
    {"redis { " NEAR "\n\nmaster-name = sts }",
     ":3: redis.master-name: it is asked of sentinels, and none are given"},
    {"redis { master-name = sts }", ":1: redis.master-name: it is asked of sentinels"},

    /* who we are */
    {"redis { " NEAR "username = sts password-file = \"@/password\" }", NULL},
    {"redis { " NEAR "password-file = \"@/password\" }", NULL},
    {"redis { " NEAR "username = sts }", ":1: redis.username: a username needs a password-file"},
    {"redis { " NEAR "\npassword-file = \"@/missing\" }", ":2: redis.password-file: @/missing: No"},
    {"redis { " NEAR "password-file = \"@/empty\" }",
     ":1: redis.password-file: @/empty: the first line is no password"},
    {"redis { " NEAR "password-file = \"@/long\" }",
     ":1: redis.password-file: @/long: the first line is no password"},
    {"redis { " NEAR "password-file = \"@/longest\" }", NULL},
    {"redis { " NEAR "password-file = \"@/\" }", ":1: redis.password-file: @/: not a regular file"},

    /* the prefix */
    {"redis { prefix = \"a{b}:\" }", NULL},
    {"redis { prefix = \"" LETTERS64 "\" }", NULL},
    {"redis { prefix = \"" LETTERS64 "x\" }", ":1: redis.prefix: must be 1 to 64"},
    {"redis { prefix = \"\" }", ":1: redis.prefix: must be 1 to 64"},
    {"redis { prefix = \"a b\" }", ":1: redis.prefix: must be 1 to 64"},
    {"redis { prefix = \"st\xc3\xa4\" }", ":1: redis.prefix: must be 1 to 64"},

    /* the farm's key */
    {"redis { " FAR "key-file = \"@/key\" }", NULL},
    {"redis { " FAR "insecure = on }", NULL},
    {"redis { server = \"inet6:6379@::1\" }", NULL},
    {"\nredis { " FAR "}", ":2: redis.key-file: needed, because inet:6379@192.0.2.1 is not on this "
                           "host (or say \"insecure = on\")"},
    {"redis { sentinels = { \"inet:1@127.0.0.1\", \"inet:1@192.0.2.2\" } master-name = sts }",
     ":1: redis.key-file: needed, because inet:1@192.0.2.2 is not"},
    {"redis { " NEAR "\nkey-file = \"@/missing\" }", ":2: redis.key-file: @/missing: No such file"},
    {"redis { " NEAR "key-file = \"@/short\" }",
     ":1: redis.key-file: @/short:2: a key is 64 hex digits"},
    {"redis { " NEAR "key-file = \"@/open\" }", ":1: redis.key-file: @/open: others may read"},
    {"redis { " FAR "insecure = on key-file = \"@/short\" }", ":1: redis.key-file: @/short:2:"},

    /* TLS */
    {"redis { " NEAR "tls = on }", NULL},
    {"redis { " NEAR
     "tls = on ca-file = \"@/pem\" cert-file = \"@/pem\" key-file-tls = \"@/pem\" }",
     NULL},
    {"redis { " NEAR "tls = on ca-file = \"@/missing\" }", ":1: redis.ca-file: @/missing: No such"},
    {"redis { " NEAR "tls = on cert-file = \"@/missing\" key-file-tls = \"@/pem\" }",
     ":1: redis.cert-file: @/missing: No such"},
    {"redis { " NEAR "tls = on cert-file = \"@/pem\" key-file-tls = \"@/missing\" }",
     ":1: redis.key-file-tls: @/missing: No such"},
    {"redis { " NEAR "tls = on\ncert-file = \"@/pem\" }",
     ":2: redis.cert-file: key-file-tls must name the key"},
    {"redis { " NEAR "tls = on\nkey-file-tls = \"@/pem\" }",
     ":2: redis.key-file-tls: cert-file must name the certificate"},
    {"redis { server = \"unix:/r.sock\"\ntls = on }",
     ":2: redis.tls: there is no TLS on a unix socket"},
};

/* Puts the file's name before `tail`, and the directory in it. */
static void
expected(const char *tail, char *out, size_t size)
{
    const char *at = strstr(tail, "@/");

    if (at == NULL)
        snprintf(out, size, "%s/config%s", directory, tail);
    else
        snprintf(out, size, "%s/config%.*s%s%s", directory, (int)(at - tail), tail, directory,
                 at + 1);
}

static void
options_hold_together(void **state)
{
    char error[500], want[500];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings *s = settings_of(cases[i].text, error, sizeof error);

        if ((s != NULL) != (cases[i].error == NULL))
            fail_msg("%s: %s", cases[i].text, error);
        if (cases[i].error != NULL) {
            expected(cases[i].error, want, sizeof want);
            if (strncmp(error, want, strlen(want)) != 0)
                fail_msg("%s: \"%s\", wanted \"%s\"", cases[i].text, error, want);
        }
        settings_free(s);
    }
}

/* What is written to standard error while it is read. */
static void
warnings_of(const char *text, char *out, size_t size)
{
    char error[500];
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    struct settings *s;
    size_t len;

    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    s = settings_of(text, error, sizeof error);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_non_null(s);
    settings_free(s);
    rewind(file);
    len = fread(out, 1, size - 1, file);
    out[len] = '\0';
    fclose(file);
}

static void
unused_tls_options_are_a_warning(void **state)
{
    char lines[500];

    (void)state;
    warnings_of("redis { " NEAR "ca-file = \"@/missing\" }", lines, sizeof lines);
    assert_string_equal(lines, "warning: redis.ca-file is not used, because redis.tls is off\n");
    warnings_of("redis { " NEAR "cert-file = \"@/pem\" key-file-tls = \"@/pem\" }", lines,
                sizeof lines);
    assert_string_equal(lines, "warning: redis.cert-file is not used, because redis.tls is off\n");
    warnings_of("redis { " NEAR "tls = on ca-file = \"@/pem\" }", lines, sizeof lines);
    assert_string_equal(lines, "");
}

/* Who names a key means to join a farm. */
static void
a_farm_without_a_server_is_a_warning(void **state)
{
    static const char alone[] =
        "warning: redis: neither server nor sentinels are given: this host is alone\n";
    char lines[500];

    (void)state;
    warnings_of("redis { key-file = \"@/key\" }", lines, sizeof lines);
    assert_string_equal(lines, alone);
    warnings_of("redis { tls = on }", lines, sizeof lines);
    assert_string_equal(lines, alone);
    warnings_of("redis { prefix = \"sts:\" }", lines, sizeof lines);
    assert_string_equal(lines, "");
}

static void
a_password_for_everybody_is_a_warning(void **state)
{
    char lines[500], path[100];

    (void)state;
    warnings_of("redis { " NEAR "password-file = \"@/password\" }", lines, sizeof lines);
    assert_string_equal(lines, "");
    snprintf(path, sizeof path, "%s/password", directory);
    assert_int_equal(chmod(path, 0644), 0);
    warnings_of("redis { " NEAR "password-file = \"@/password\" }", lines, sizeof lines);
    assert_non_null(strstr(lines, "password: others may read or change it"));
    assert_int_equal(chmod(path, 0600), 0);
}

static void
a_reload_is_checked_too(void **state)
{
    char error[500], path[100];
    struct settings *running = settings_of("redis { " NEAR "}", error, sizeof error);

    (void)state;
    assert_non_null(running);
    make_config("redis { " FAR "}");
    snprintf(path, sizeof path, "%s/config", directory);
    assert_null(settings_reload(path, running, error, sizeof error));
    assert_non_null(strstr(error, "redis.key-file: needed"));
    settings_free(running);
}

static const char *const names[] = {"config", "key",  "open",    "short", "password",
                                    "empty",  "long", "longest", "pem"};

static int
make_files(void **state)
{
    char text[SETTINGS_PASSWORD_MAX + 3];

    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    make_file("key", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", 0640);
    make_file("open", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", 0644);
    make_file("short", "# farm\n0011\n", 0600);
    make_file("password", "secret\n", 0600);
    make_file("empty", "\nsecret\n", 0600);
    memset(text, 'x', SETTINGS_PASSWORD_MAX);
    strcpy(text + SETTINGS_PASSWORD_MAX, "\r\n");
    make_file("longest", text, 0600);
    strcpy(text + SETTINGS_PASSWORD_MAX, "x\n");
    make_file("long", text, 0600);
    make_file("pem", "x\n", 0600);
    return 0;
}

static int
remove_files(void **state)
{
    char path[100];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    return rmdir(directory);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_hold_together),
        cmocka_unit_test(unused_tls_options_are_a_warning),
        cmocka_unit_test(a_farm_without_a_server_is_a_warning),
        cmocka_unit_test(a_password_for_everybody_is_a_warning),
        cmocka_unit_test(a_reload_is_checked_too),
    };

    log_open("test_settings_redis", true, LOG_LEVEL_WARNING);
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
