#include "cached/stsctl_mta.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cached/exitcode.h"
#include "cached/mta_host.h"

static bool
read_socket(const char *text, struct mta_socket *s)
{
    char why[200];

    if (text == NULL || !sockspec_parse(text, &s->spec, why, sizeof why))
        return false;
    s->safe_path = sockspec_is_unix(&s->spec) && mta_host_is_safe_path(sockspec_path(&s->spec));
    return true;
}

static void
read_daemon(const json_t *config, struct mta_facts *f)
{
    const json_t *listen = json_object_get(config, "listen");
    const char *mode = json_string_value(json_object_get(config, "mode"));
    const char *ca_file = json_string_value(json_object_get(config, "ca_file"));

    for (size_t i = 0; i < json_array_size(listen) && f->listen_count < MTA_SOCKETS_MAX; i++) {
        if (read_socket(json_string_value(json_array_get(listen, i)), &f->listen[f->listen_count]))
            f->listen_count++;
    }
    f->everybody =
        (json_integer_value(json_object_get(config, "socket_mode")) & S_IWOTH) == S_IWOTH;
    f->dane = json_is_true(json_object_get(config, "dane"));
    f->enforcing = mode != NULL && strcmp(mode, "enforce") == 0;
    f->ca_file = ca_file != NULL ? ca_file : "/etc/ssl/certs/ca-certificates.crt";
}

static json_t *
string_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

/* "a\nb\n" as ["a","b"] */
static json_t *
lines_of(const struct buf *text)
{
    const char *at = buf_string(text);
    json_t *array = json_array();

    while (*at != '\0') {
        size_t len = strcspn(at, "\n");
        json_array_append_new(array, json_stringn(at, len));
        at += len + (at[len] == '\n');
    }
    return array;
}

static void
print_as_json(enum mta mta, const struct mta_facts *f, const struct mta_config *c, int exit_code)
{
    json_t *object = json_object();

    json_object_set_new(object, "mta", json_string(mta_name(mta)));
    json_object_set_new(object, "version",
                        string_or_null(mta == MTA_POSTFIX ? f->postfix.version : ""));
    json_object_set_new(object, "socket", string_or_null(c->socket));
    json_object_set_new(object, "map", string_or_null(c->map));
    json_object_set_new(object, "milter", string_or_null(c->milter));
    json_object_set_new(object, "lines", lines_of(&c->lines));
    json_object_set_new(object, "warnings", lines_of(&c->warnings));
    json_object_set_new(object, "exit", json_integer(exit_code));
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(object);
}

static void
print_warnings(const struct buf *warnings)
{
    const char *at = buf_string(warnings);

    while (*at != '\0') {
        int len = (int)strcspn(at, "\n");
        fprintf(stderr, "stsctl: warning: %.*s\n", len, at);
        at += len + (at[len] == '\n');
    }
}

int
stsctl_mta_config(enum mta mta, const json_t *config, const char *milter, bool json)
{
    struct mta_facts facts = {.milter = mta != MTA_EXIM};
    struct mta_config made;
    int exit_code;

    read_daemon(config, &facts);
    if (milter != NULL && strcmp(milter, "none") == 0)
        facts.milter = false;
    if (facts.milter)
        mta_host_read_milter(&facts);
    if (facts.milter && milter != NULL)
        (void)read_socket(milter, &facts.milter_socket);
    if (mta == MTA_POSTFIX)
        mta_host_read_postfix(&facts.postfix);
    mta_config_make(mta, &facts, &made);
    exit_code = made.socket[0] != '\0' ? EXIT_DONE : EXIT_AT_FAULT;
    print_warnings(&made.warnings);
    if (json)
        print_as_json(mta, &facts, &made, exit_code);
    else
        fputs(buf_string(&made.lines), stdout);
    mta_config_done(&made);
    return exit_code;
}
