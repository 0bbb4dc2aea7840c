#include "cached/settings.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cached/address.h"
#include "cached/settings_redis.h"
#include "common/confcheck.h"
#include "common/log.h"
#include "common/sockspec.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static const char *const unknown_answers[] = {"accept", "tempfail", NULL};
static const char *const work_modes[] = {"enforce", "observe", "off", NULL};
static const char *const dane_failures[] = {"sts", "defer", NULL};

enum { TEXT_MAX = 255 };

/* In the background the working directory is another. Behind a folder's path a file's name must
 * find room. */
static const char *
check_path(const char *value)
{
    if (value[0] != '/')
        return "the path must begin with /";
    return strlen(value) < PATH_MAX - NAME_MAX ? NULL : "the path is too long";
}

static const char *
check_length(const char *value)
{
    return strlen(value) <= TEXT_MAX ? NULL : "must have at most 255 bytes";
}

/* It becomes a line of our requests. */
static const char *
check_user_agent(const char *value)
{
    size_t len = strlen(value);
    bool good = len >= 1 && len <= TEXT_MAX;

    for (size_t i = 0; good && i < len; i++)
        good = value[i] >= ' ' && value[i] <= '~';
    return good ? NULL : "must be 1 to 255 printable ASCII characters";
}

static const char *
check_dns_server(const char *value)
{
    struct sockspec spec;
    const char *why = confcheck_socket(value);

    if (why == NULL && sockspec_parse(value, &spec, NULL, 0) && sockspec_is_unix(&spec))
        return "a DNS server is inet:PORT@ADDRESS or inet6:PORT@ADDRESS";
    return why;
}

/* Who asks is known of a unix socket alone; others would serve nobody. */
static const char *
check_control(const char *value)
{
    struct sockspec spec;
    const char *why = confcheck_socket(value);

    if (why == NULL && sockspec_parse(value, &spec, NULL, 0) && !sockspec_is_unix(&spec))
        return "the control socket is unix:/PATH";
    return why;
}

static const char *
check_network(const char *value)
{
    char *copy = alloc_string(value);
    size_t bad;
    struct address_list *list = address_list_new(&copy, 1, &bad);

    free(copy);
    if (list == NULL)
        return "no address and no network";
    address_list_free(list);
    return NULL;
}

#define AT(field) offsetof(struct settings, field)

/* section, name, type, field, default, min, max, choices, reload, check */
static const struct conf_option table[] = {
    {NULL, "listen", CONF_LIST, AT(listen), "unix:/run/sts-cached/query.sock inet:8461@127.0.0.1",
     0, SETTINGS_LISTEN_MAX, NULL, false, confcheck_socket},
    {NULL, "control", CONF_STRING, AT(control), "unix:/run/sts-cached/control.sock", 0, 0, NULL,
     false, check_control},
    {NULL, "socket-mode", CONF_MODE, AT(socket_mode), "0666", 0, 0777, NULL, false, NULL},
    {NULL, "socket-group", CONF_STRING, AT(socket_group), NULL, 0, 0, NULL, false, confcheck_group},
    {NULL, "user", CONF_STRING, AT(user), NULL, 0, 0, NULL, false, confcheck_user},
    {NULL, "state-directory", CONF_STRING, AT(state_directory), "/var/lib/sts-cached", 0, 0, NULL,
     false, check_path},
    {NULL, "store-size", CONF_SIZE, AT(store_size), "1G", MIB, 1024 * GIB, NULL, false, NULL},
    {NULL, "memory-size", CONF_SIZE, AT(memory_size), "256M", MIB, 1024 * GIB, NULL, true, NULL},
    {NULL, "answer-deadline", CONF_DURATION, AT(answer_deadline_ms), "4s", 10, 60 * SECOND, NULL,
     true, NULL},
    {NULL, "refresh-interval", CONF_DURATION, AT(refresh_interval_ms), "1d", 5 * MINUTE,
     30 * INT64_C(1) * DAY, NULL, true, NULL},
    {NULL, "on-unknown", CONF_CHOICE, AT(on_unknown), "accept", 0, 0, unknown_answers, true, NULL},
    {NULL, "on-pending", CONF_CHOICE, AT(on_pending), "tempfail", 0, 0, unknown_answers, true,
     NULL},
    {NULL, "mode", CONF_CHOICE, AT(mode), "enforce", 0, 0, work_modes, true, NULL},
    {NULL, "dane", CONF_BOOL, AT(dane), "off", 0, 0, NULL, true, NULL},
    {NULL, "dane-on-failure", CONF_CHOICE, AT(dane_on_failure), "sts", 0, 0, dane_failures, true,
     NULL},
    {NULL, "probe", CONF_BOOL, AT(probe), "off", 0, 0, NULL, true, NULL},
    {NULL, "probe-port", CONF_NUMBER, AT(probe_port), "25", 1, 65535, NULL, true, NULL},
    {"http", "listen", CONF_STRING, AT(http.listen), NULL, 0, 0, NULL, false, confcheck_socket},
    {"dns", "servers", CONF_LIST, AT(dns.servers), NULL, 0, SETTINGS_DNS_SERVERS_MAX, NULL, true,
     check_dns_server},
    {"dns", "timeout", CONF_DURATION, AT(dns.timeout_ms), "2s", 10, 60 * SECOND, NULL, true, NULL},
    {"dns", "trust-ad", CONF_BOOL, AT(dns.trust_ad), "false", 0, 0, NULL, true, NULL},
    {"fetch", "ca-file", CONF_STRING, AT(fetch.ca_file), "/etc/ssl/certs/ca-certificates.crt", 0, 0,
     NULL, true, check_path},
    {"fetch", "port", CONF_NUMBER, AT(fetch.port), "443", 1, 65535, NULL, true, NULL},
    {"fetch", "timeout", CONF_DURATION, AT(fetch.timeout_ms), "20s", 100, 10 * MINUTE, NULL, true,
     NULL},
    {"fetch", "max-running", CONF_NUMBER, AT(fetch.max_running), "256", 1, 10000, NULL, true, NULL},
    {"fetch", "allow-address", CONF_LIST, AT(fetch.allow_address), NULL, 0, 0, NULL, true,
     check_network},
    {"fetch", "user-agent", CONF_STRING, AT(fetch.user_agent), "sts-milter/" PACKAGE_VERSION, 0, 0,
     NULL, true, check_user_agent},
    {"fetch", "proxy", CONF_STRING, AT(fetch.proxy), NULL, 0, 0, NULL, true, check_length},
    {"redis", "server", CONF_STRING, AT(redis.server), NULL, 0, 0, NULL, false, confcheck_socket},
    {"redis", "sentinels", CONF_LIST, AT(redis.sentinels), NULL, 0, 0, NULL, false,
     confcheck_socket},
    {"redis", "master-name", CONF_STRING, AT(redis.master_name), NULL, 0, 0, NULL, false,
     check_length},
    {"redis", "username", CONF_STRING, AT(redis.username), NULL, 0, 0, NULL, false, check_length},
    {"redis", "password-file", CONF_STRING, AT(redis.password_file), NULL, 0, 0, NULL, false,
     check_path},
    {"redis", "database", CONF_NUMBER, AT(redis.database), "0", 0, 65535, NULL, false, NULL},
    {"redis", "prefix", CONF_STRING, AT(redis.prefix), "sts:", 0, 0, NULL, false, NULL},
    {"redis", "timeout", CONF_DURATION, AT(redis.timeout_ms), "100ms", 1, 60 * SECOND, NULL, false,
     NULL},
    {"redis", "key-file", CONF_STRING, AT(redis.key_file), NULL, 0, 0, NULL, false, check_path},
    {"redis", "tls", CONF_BOOL, AT(redis.tls), "off", 0, 0, NULL, false, NULL},
    {"redis", "ca-file", CONF_STRING, AT(redis.ca_file), NULL, 0, 0, NULL, false, check_path},
    {"redis", "cert-file", CONF_STRING, AT(redis.cert_file), NULL, 0, 0, NULL, false, check_path},
    {"redis", "key-file-tls", CONF_STRING, AT(redis.key_file_tls), NULL, 0, 0, NULL, false,
     check_path},
    {"redis", "insecure", CONF_BOOL, AT(redis.insecure), "off", 0, 0, NULL, false, NULL},
};

enum { ROWS = sizeof table / sizeof *table, WHY_SIZE = 400 };

static bool
is_same_socket(const char *a, const char *b)
{
    struct sockspec one, other;

    return sockspec_parse(a, &one, NULL, 0) && sockspec_parse(b, &other, NULL, 0) &&
           one.len == other.len && memcmp(&one.addr, &other.addr, one.len) == 0;
}

/* What no row shows. False: `section` (NULL: none) and `option` name the place. */
static bool
check_whole(const struct settings *s, const char **section, const char **option, char why[WHY_SIZE])
{
    for (size_t i = 0; i < s->listen.count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (!is_same_socket(s->listen.items[i], s->listen.items[j]))
                continue;
            snprintf(why, WHY_SIZE, "\"%.80s\" is given twice", s->listen.items[i]);
            *section = NULL;
            *option = "listen";
            return false;
        }
    }
    *section = "redis";
    return settings_redis_check(s, option, why, WHY_SIZE);
}

struct settings *
settings_read(const char *path, char *error, size_t size)
{
    struct settings *s = alloc_zero(1, sizeof *s);
    const char *section, *option;
    char why[WHY_SIZE];

    if (!conf_read(path, table, ROWS, s, error, size)) {
        free(s);
        return NULL;
    }
    if (check_whole(s, &section, &option, why))
        return s;
    conf_fault(path, section, option, why, error, size);
    settings_free(s);
    return NULL;
}

void
settings_free(struct settings *s)
{
    if (s == NULL)
        return;
    conf_done(table, ROWS, s);
    free(s);
}

void
settings_print(const struct settings *s, FILE *out)
{
    conf_print(table, ROWS, s, out);
}

struct settings *
settings_reload(const char *path, const struct settings *running, char *error, size_t size)
{
    struct settings *next = settings_read(path, error, size);
    struct buf kept;

    if (next == NULL)
        return NULL;
    buf_init(&kept, LOG_LINE_MAX);
    conf_keep_restart_values(table, ROWS, running, next, &kept);
    if (kept.len > 0)
        log_warning("the new value of %s counts only after a restart", buf_string(&kept));
    buf_done(&kept);
    return next;
}
