/* stsctl - the operator's tool: one command, asked of sts-cached over its control socket.
 * The daemon does the work and names the exit status; this program asks, prints and ends. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/exitcode.h"
#include "cached/mta_host.h"
#include "cached/stsctl_mta.h"
#include "cached/stsctl_print.h"
#include "common/client.h"
#include "common/proto.h"

/* The default of `control` in sts-cached.conf. */
static const char default_socket[] = "unix:/run/sts-cached/control.sock";

enum {
    ANSWER_TIMEOUT_MS = 10 * 1000, /* a hung daemon is told from a slow answer */
    CHECK_TIMEOUT_MS = 60 * 1000,  /* the daemon's own limit is 45 s (check.h) */
    FETCH_TIMEOUT_MS = 10 * 60 * 1000,
    FLUSH_TIMEOUT_MS = 7 * 24 * 3600 * 1000 /* a million policies take their time */
};

struct invocation {
    const char *socket; /* as it was given */
    struct sockspec spec;
    bool json, wait, force, all;
    const char *argument; /* of the command, or NULL */
    const char *milter;   /* --milter, or NULL */
    struct client *client;
    struct buf reply;
};

static int run_query(struct invocation *);
static int run_check(struct invocation *);
static int run_show(struct invocation *);
static int run_list(struct invocation *);
static int run_flush(struct invocation *);
static int run_refresh(struct invocation *);
static int run_stats(struct invocation *);
static int run_nodes(struct invocation *);
static int run_mta_config(struct invocation *);

enum argument { ARGUMENT_NONE, ARGUMENT_OPTIONAL, ARGUMENT_NEEDED };

static const struct action {
    const char *name;
    enum argument argument;
    bool flushes; /* takes --wait, --force and, in place of the argument, --all */
    int (*run)(struct invocation *);
    const char *help;
} actions[] = {
    {"query", ARGUMENT_NEEDED, false, run_query,
     "query DOMAIN    the verdict on a domain, and why"},
    {"check", ARGUMENT_NEEDED, false, run_check,
     "check DOMAIN    all that a domain publishes, looked at live, and what to mend"},
    {"show", ARGUMENT_NEEDED, false, run_show, "show DOMAIN     the policy held of a domain"},
    {"list", ARGUMENT_OPTIONAL, false, run_list, "list [GLOB]     the policies held"},
    {"flush", ARGUMENT_NEEDED, true, run_flush,
     "flush DOMAIN|GLOB|--all [--wait] [--force]\n"
     "                  fetch anew what is held; --force: forget it"},
    {"refresh", ARGUMENT_NEEDED, false, run_refresh,
     "refresh DOMAIN  fetch a policy anew, held or not"},
    {"nodes", ARGUMENT_NONE, false, run_nodes, "nodes           the nodes of the farm"},
    {"stats", ARGUMENT_NONE, false, run_stats, "stats           the daemon's counters"},
    {"mta-config", ARGUMENT_NEEDED, false, run_mta_config,
     "mta-config sendmail|postfix|exim [--milter SOCKET|none]\n"
     "                  the lines for this host's MTA"},
};

enum { ACTIONS = sizeof(actions) / sizeof(actions[0]) };

static void
print_usage(FILE *out)
{
    fputs("usage: stsctl [-s SOCKET] [--json] COMMAND\n", out);
    for (size_t i = 0; i < ACTIONS; i++)
        fprintf(out, "  %s\n", actions[i].help);
    fprintf(out,
            "  -s SOCKET       the daemon's control socket (query: a query socket too);\n"
            "                  default: %s\n"
            "  --json          print JSON\n"
            "  --milter SOCKET where sts-milter listens, or none (mta-config);\n"
            "                  default: as sts-milter --print-config says, else\n"
            "                  %s\n"
            "  -V, -h          print the version, this help\n",
            default_socket, MTA_HOST_MILTER);
}

/* --- asking ----------------------------------------------------------------------------------- */

static int
fail(const struct invocation *v, int exit_code, const char *text, size_t len)
{
    fputs("stsctl: ", stderr);
    if (v != NULL)
        fprintf(stderr, "%s: ", v->socket);
    print_bytes(stderr, text, len);
    fputc('\n', stderr);
    return exit_code;
}

static int
fail_client(const struct invocation *v, enum client_status status)
{
    static const char who_may[] =
        "permission denied: root, the daemon's user and the members of its socket-group may";
    const char *text = client_fault(v->client, status);

    if (status != CLIENT_NO_PERMISSION)
        return fail(v, EXIT_NO_DAEMON, text, strlen(text));
    if (sockspec_is_unix(&v->spec))
        text = who_may;
    return fail(v, EXIT_NOT_PERMITTED, text, strlen(text));
}

/* "ERR code text": what the daemon says, with the status it wants. */
static int
fail_error(const struct invocation *v, const char *text)
{
    struct scan s = scan_bytes(text, strlen(text));
    uint64_t code;

    if (!scan_number(&s, 3, &code) || !scan_char(&s, ' ') || code == 0 || code > 125)
        return fail_client(v, CLIENT_BAD_REPLY);
    return fail(NULL, (int)code, s.at, (size_t)(s.end - s.at));
}

/* Anything that is not "OK ...". */
static int
fail_reply(const struct invocation *v)
{
    static const char no_control[] = "this is a query socket: it knows no command but query";
    const char *reply = buf_string(&v->reply);

    if (strncmp(reply, "ERR ", 4) == 0)
        return fail_error(v, reply + 4);
    if (strncmp(reply, "TEMP unknown map", 16) == 0)
        return fail(v, EXIT_BAD_USAGE, no_control, sizeof(no_control) - 1);
    return fail_client(v, CLIENT_BAD_REPLY);
}

/* Sends `word`, `argument` (may be NULL) and `tail`, and takes the reply. 0 when it begins with OK.
 */
static int
ask(struct invocation *v, const char *word, const char *tail, int timeout_ms)
{
    enum client_status status;
    struct buf request;

    buf_init(&request, PROTO_REQUEST_MAX);
    buf_add_string(&request, word);
    if (v->all || v->argument != NULL)
        buf_printf(&request, " %s", v->all ? "--all" : v->argument);
    buf_add_string(&request, tail);
    if (buf_failed(&request)) {
        buf_done(&request);
        return fail(NULL, EXIT_BAD_USAGE, "the argument is too long", 24);
    }
    status = client_ask(v->client, request.data, request.len, timeout_ms, &v->reply);
    buf_done(&request);
    if (status != CLIENT_OK)
        return fail_client(v, status);
    return strncmp(buf_string(&v->reply), "OK ", 3) == 0 ? 0 : fail_reply(v);
}

/* The JSON of the reply; NULL when it is none. */
static json_t *
parse_reply(const struct invocation *v)
{
    json_t *object = json_loadb(v->reply.data + 3, v->reply.len - 3, JSON_ALLOW_NUL, NULL);

    if (!json_is_object(object)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static void
print_json(const json_t *object)
{
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    putchar('\n');
}

/* The status that the daemon names in a reply; 0 when it names none. */
static int
exit_of(const json_t *object)
{
    return (int)json_integer_value(json_object_get(object, "exit"));
}

/* Prints the reply that `ask` has taken; the exit status. */
static int
show_reply(const struct invocation *v, void (*print)(FILE *, const json_t *))
{
    json_t *object = parse_reply(v);
    int exit_code;

    if (object == NULL)
        return fail_client(v, CLIENT_BAD_REPLY);
    if (v->json)
        print_json(object);
    else
        print(stdout, object);
    exit_code = exit_of(object);
    json_decref(object);
    return exit_code;
}

static int
usage_error(const char *text, const char *what)
{
    fprintf(stderr, "stsctl: %s%s%s (stsctl -h: help)\n", what, what[0] != '\0' ? ": " : "", text);
    return EXIT_BAD_USAGE;
}

/* --- commands --------------------------------------------------------------------------------- */

static int
show_answer(const struct invocation *v)
{
    const char *line = v->reply.data + 3;
    struct answer_view view;
    int exit_code;

    if (!answer_parse(line, v->reply.len - 3, &view))
        return fail_client(v, CLIENT_BAD_REPLY);
    exit_code = exitcode_of_verdict(view.verdict, view.reason, 0);
    if (v->json) {
        json_t *object = print_answer_json(&view, line, exit_code);
        print_json(object);
        json_decref(object);
    } else {
        print_answer(stdout, line, &view);
    }
    answer_view_done(&view);
    return exit_code;
}

/* `verdict` is a word that both kinds of socket know; `query` would be Postfix' map on the other.
 */
static int
run_query(struct invocation *v)
{
    int exit_code = ask(v, "verdict", " wait=8000", ANSWER_TIMEOUT_MS);

    if (exit_code != 0)
        return exit_code;
    if (strncmp(v->reply.data, "OK verdict=", 11) == 0)
        return show_answer(v);
    return show_reply(v, print_verdict);
}

static int
run_check(struct invocation *v)
{
    int exit_code = ask(v, "check", "", CHECK_TIMEOUT_MS);

    return exit_code != 0 ? exit_code : show_reply(v, print_check);
}

static int
run_show(struct invocation *v)
{
    int exit_code = ask(v, "show", "", ANSWER_TIMEOUT_MS);

    return exit_code != 0 ? exit_code : show_reply(v, print_policy);
}

static void
print_page(const struct invocation *v, const json_t *page, bool *any)
{
    const json_t *policies = json_object_get(page, "policies");

    for (size_t i = 0; i < json_array_size(policies); i++) {
        const json_t *policy = json_array_get(policies, i);

        if (!v->json) {
            print_policy_line(stdout, policy);
            continue;
        }
        fputs(*any ? ",\n" : "\n", stdout);
        json_dumpf(policy, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        *any = true;
    }
}

/* Prints page after page; `tail` asks for the next one. `*begun`: there was a first one, so that
 * the JSON has been opened. */
static int
list_pages(struct invocation *v, bool *begun)
{
    char tail[300] = "";
    bool any = false;

    for (;;) {
        int exit_code = ask(v, "list", tail, ANSWER_TIMEOUT_MS);
        if (exit_code != 0)
            return exit_code;
        json_t *page = parse_reply(v);
        if (page == NULL)
            return fail_client(v, CLIENT_BAD_REPLY);
        if (v->json && !*begun)
            fputs("{\"policies\": [", stdout);
        *begun = true;
        print_page(v, page, &any);
        const char *next = json_string_value(json_object_get(page, "next"));
        snprintf(tail, sizeof(tail), " after=%s", next != NULL ? next : "");
        json_decref(page);
        if (next == NULL)
            return 0;
    }
}

static int
run_list(struct invocation *v)
{
    bool begun = false;
    int exit_code = list_pages(v, &begun);

    if (v->json && begun)
        fputs("]}\n", stdout);
    return exit_code;
}

static void
print_flushed(FILE *out, const json_t *reply)
{
    if (json_object_get(reply, "domain") != NULL)
        print_refetch(out, reply);
    else
        print_flush(out, reply);
    print_unconfirmed(out, reply);
}

static int
run_flush(struct invocation *v)
{
    char tail[16];
    int exit_code;

    snprintf(tail, sizeof(tail), "%s%s", v->wait ? " wait" : "", v->force ? " force" : "");
    exit_code = ask(v, "flush", tail, FLUSH_TIMEOUT_MS);
    return exit_code != 0 ? exit_code : show_reply(v, print_flushed);
}

static int
run_refresh(struct invocation *v)
{
    int exit_code = ask(v, "refresh", "", FETCH_TIMEOUT_MS);

    return exit_code != 0 ? exit_code : show_reply(v, print_flushed);
}

static int
run_stats(struct invocation *v)
{
    int exit_code = ask(v, "stats", "", ANSWER_TIMEOUT_MS);

    return exit_code != 0 ? exit_code : show_reply(v, print_stats);
}

static int
run_nodes(struct invocation *v)
{
    int exit_code = ask(v, "nodes", "", ANSWER_TIMEOUT_MS);

    return exit_code != 0 ? exit_code : show_reply(v, print_nodes);
}

/* Of the MTA and the milter by what was given; the daemon is asked for its settings alone. */
static int
run_mta_config(struct invocation *v)
{
    const char *name = v->argument;
    struct sockspec spec;
    enum mta mta;
    json_t *config;
    char why[200];
    int exit_code;

    if (!mta_read(name, &mta))
        return usage_error("the MTA is sendmail, postfix or exim", name);
    if (v->milter != NULL && strcmp(v->milter, "none") != 0 &&
        !sockspec_parse(v->milter, &spec, why, sizeof(why)))
        return usage_error(why, v->milter);
    v->argument = NULL;
    if ((exit_code = ask(v, "config", "", ANSWER_TIMEOUT_MS)) != 0)
        return exit_code;
    if ((config = parse_reply(v)) == NULL)
        return fail_client(v, CLIENT_BAD_REPLY);
    exit_code = stsctl_mta_config(mta, config, v->milter, v->json);
    json_decref(config);
    return exit_code;
}

/* --- the command line ------------------------------------------------------------------------- */

/* Options stand before or after the command. -1: go on, else the exit status. */
static int
read_options(int argc, char **argv, struct invocation *v)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"wait", no_argument, NULL, 'w'},
        {"force", no_argument, NULL, 'f'},
        {"all", no_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"milter", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "s:hV", options, NULL)) != -1) {
        switch (c) {
        case 's':
            v->socket = optarg;
            break;
        case 'j':
            v->json = true;
            break;
        case 'w':
            v->wait = true;
            break;
        case 'f':
            v->force = true;
            break;
        case 'a':
            v->all = true;
            break;
        case 'm':
            v->milter = optarg;
            break;
        case 'h':
            print_usage(stdout);
            return EXIT_DONE;
        case 'V':
            puts("stsctl " PACKAGE_VERSION);
            return EXIT_DONE;
        default: /* getopt_long has said what is wrong */
            print_usage(stderr);
            return EXIT_BAD_USAGE;
        }
    }
    return -1;
}

static const struct action *
find_action(const char *name)
{
    for (size_t i = 0; i < ACTIONS; i++) {
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    }
    return NULL;
}

/* 0, or the exit status when words and options do not fit the command. */
static int
check_usage(const struct action *action, int words, const struct invocation *v)
{
    bool given = v->argument != NULL || v->all;

    if (!action->flushes && (v->wait || v->force || v->all))
        return usage_error("--wait, --force and --all belong to flush", action->name);
    if (action->run != run_mta_config && v->milter != NULL)
        return usage_error("--milter belongs to mta-config", action->name);
    if (words > 1 || (v->argument != NULL && v->all))
        return usage_error("too many arguments", action->name);
    if (given && action->argument == ARGUMENT_NONE)
        return usage_error("takes no argument", action->name);
    if (!given && action->argument == ARGUMENT_NEEDED)
        return usage_error("the argument is missing", action->name);
    if (v->argument != NULL && (v->argument[0] == '\0' || strpbrk(v->argument, " \t\r\n") != NULL))
        return usage_error("blanks and empty words are no domain", action->name);
    return 0;
}

static int
run(const struct action *action, struct invocation *v)
{
    char why[200];
    int exit_code;

    if (!sockspec_parse(v->socket, &v->spec, why, sizeof(why)))
        return usage_error(why, v->socket);
    v->client = client_new(&v->spec, PROTO_CONTROL_MAX);
    buf_init(&v->reply, PROTO_CONTROL_MAX);
    exit_code = action->run(v);
    buf_done(&v->reply);
    client_free(v->client);
    return exit_code;
}

static int
run_words(int argc, char **argv)
{
    struct invocation v = {.socket = default_socket};
    const struct action *action;
    int exit_code;

    if ((exit_code = read_options(argc, argv, &v)) >= 0)
        return exit_code;
    if (optind == argc) {
        print_usage(stderr);
        return EXIT_BAD_USAGE;
    }
    if ((action = find_action(argv[optind])) == NULL)
        return usage_error("unknown command", argv[optind]);
    v.argument = argv[optind + 1];
    if ((exit_code = check_usage(action, argc - optind - 1, &v)) != 0)
        return exit_code;
    return run(action, &v);
}

/* What nobody can have read has not been told. */
static int
end_output(int exit_code)
{
    bool failed = ferror(stdout) != 0;

    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return exit_code;
    fprintf(stderr, "stsctl: the output cannot be written%s%s\n", errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    return exit_code < EXIT_BAD_USAGE ? EXIT_IN_DOUBT : exit_code;
}

int
main(int argc, char **argv)
{
    return end_output(run_words(argc, argv));
}
