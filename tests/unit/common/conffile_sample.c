#include "tests/unit/common/conffile_sample.h"

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

static const char *const answers[] = {"accept", "tempfail", NULL};

static const char *
check_control(const char *value)
{
    return value[0] == '/' || strncmp(value, "unix:", 5) == 0 ? NULL : "must be a unix socket";
}

#define AT(member) offsetof(struct sample, member)

const struct conf_option sample_table[] = {
    {.name = "listen",
     .type = CONF_LIST,
     .offset = AT(listen),
     .defaults = "unix:/a inet:1@::",
     .max = 4,
     .reload = true},
    {.name = "control", .type = CONF_STRING, .offset = AT(control), .check = check_control},
    {.name = "state",
     .type = CONF_STRING,
     .offset = AT(state),
     .defaults = "/state",
     .check = check_control},
    {.section = "dns",
     .name = "servers",
     .type = CONF_LIST,
     .offset = AT(dns.servers),
     .check = check_control},
    {.section = "dns",
     .name = "timeout",
     .type = CONF_DURATION,
     .offset = AT(dns.timeout_ms),
     .defaults = "2s",
     .min = 100,
     .max = 60000,
     .reload = true},
    {.section = "dns",
     .name = "trust-ad",
     .type = CONF_BOOL,
     .offset = AT(dns.trust_ad),
     .defaults = "false"},
    {.name = "user", .type = CONF_STRING, .offset = AT(user)},
    {.name = "prefix", .type = CONF_STRING, .offset = AT(prefix), .defaults = "sts:"},
    {.name = "socket-mode", .type = CONF_MODE, .offset = AT(mode), .defaults = "0666"},
    {.name = "answer-deadline",
     .type = CONF_DURATION,
     .offset = AT(deadline_ms),
     .defaults = "4s",
     .reload = true},
    {.name = "memory-size",
     .type = CONF_SIZE,
     .offset = AT(memory),
     .defaults = "256M",
     .min = 1 << 20,
     .max = INT64_MAX},
    {.name = "count",
     .type = CONF_NUMBER,
     .offset = AT(count),
     .defaults = "8",
     .min = 1,
     .max = 100},
    {.name = "on-unknown",
     .type = CONF_CHOICE,
     .offset = AT(answer),
     .defaults = "accept",
     .choices = answers,
     .reload = true},
    {.name = "dane", .type = CONF_BOOL, .offset = AT(dane), .defaults = "off", .reload = true},
};
_Static_assert(sizeof sample_table / sizeof *sample_table == SAMPLE_ROWS, "one row an option");

char sample_path[] = "/tmp/test_conffile.XXXXXX";
char sample_error[SAMPLE_ERROR_SIZE];

void
sample_write(const char *text, size_t len)
{
    FILE *file = fopen(sample_path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

bool
sample_read(const char *text, struct sample *out)
{
    sample_write(text, strlen(text));
    memset(out, 0, sizeof *out);
    return conf_read(sample_path, sample_table, SAMPLE_ROWS, out, sample_error,
                     sizeof sample_error);
}

void
sample_must_read(const char *text, struct sample *out)
{
    if (!sample_read(text, out))
        fail_msg("%s\n%s", sample_error, text);
}

void
sample_done(struct sample *s)
{
    conf_done(sample_table, SAMPLE_ROWS, s);
}

void
sample_assert_list(const struct conf_list *list, const char *joined)
{
    char text[400] = "";

    for (size_t i = 0; i < list->count; i++) {
        strcat(text, i ? "|" : "");
        strcat(text, list->items[i]);
    }
    assert_string_equal(text, joined);
}

int
sample_set_up(void **state)
{
    int fd = mkstemp(sample_path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

int
sample_tear_down(void **state)
{
    (void)state;
    return unlink(sample_path);
}
