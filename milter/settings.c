#include "milter/settings.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/confcheck.h"
#include "common/domain.h"
#include "common/log.h"
#include "milter/network.h"

enum { MAILER_MAX = 255 };

static const char *const roles[] = {"gate", "wall", NULL};
static const char *const modes[] = {"enforce", "observe", NULL};
static const char *const refuse_actions[] = {"tempfail", "reject", "quarantine", NULL};
static const char *const doubt_actions[] = {"accept", "tempfail", "by-role", NULL};

/* Writes the one form of an item of exempt-domains, its leading dot kept. */
static bool
normalise_exempt(const char *value, char out[DOMAIN_SIZE + 1])
{
    size_t dot = value[0] == '.';

    out[0] = '.';
    return domain_normalise(value + dot, strlen(value + dot), out + dot);
}

static const char *
check_exempt_domain(const char *value)
{
    char normal[DOMAIN_SIZE + 1];

    return normalise_exempt(value, normal) ? NULL : "not a domain (example.com or .example.com)";
}

/* An MTA that names no mailer must not be taken for one that names this. */
static const char *
check_mailer(const char *value)
{
    size_t len = strlen(value);

    return len >= 1 && len <= MAILER_MAX ? NULL : "the name of a mailer has 1 to 255 bytes";
}

#define FIELD(member) offsetof(struct settings, member)

#define ROW(key, kind, field, value)                                                               \
    .name = key, .type = kind, .offset = FIELD(field), .defaults = value

static const struct conf_option options[] = {
    {ROW("socket", CONF_STRING, socket, "unix:/run/sts-milter/milter.sock"),
     .check = confcheck_socket},
    {ROW("socket-mode", CONF_MODE, socket_mode, "0660")},
    {ROW("socket-group", CONF_STRING, socket_group, NULL), .check = confcheck_group},
    {ROW("user", CONF_STRING, user, NULL), .check = confcheck_user},
    {ROW("processes", CONF_NUMBER, processes, "8"), .min = 1, .max = 256},
    {ROW("timeout", CONF_DURATION, timeout_ms, "7210s"), .min = 10 * 1000, .max = 86400 * 1000},
    {ROW("cache", CONF_STRING, cache, "unix:/run/sts-cached/query.sock"), .check = confcheck_socket,
     .reload = true},
    {ROW("wait", CONF_DURATION, wait_ms, "500ms"), .max = 30 * 1000, .reload = true},
    {ROW("role", CONF_CHOICE, role, "gate"), .choices = roles, .reload = true},
    {ROW("mode", CONF_CHOICE, mode, "enforce"), .choices = modes, .reload = true},
    {ROW("on-refuse", CONF_CHOICE, on_refuse, "tempfail"), .choices = refuse_actions,
     .reload = true},
    {ROW("on-pending", CONF_CHOICE, on_pending, "by-role"), .choices = doubt_actions,
     .reload = true},
    {ROW("on-unknown", CONF_CHOICE, on_unknown, "by-role"), .choices = doubt_actions,
     .reload = true},
    {ROW("on-cache-down", CONF_CHOICE, on_cache_down, "by-role"), .choices = doubt_actions,
     .reload = true},
    {ROW("remote-mailers", CONF_LIST, remote_mailers, "esmtp smtp smtp8 dsmtp relay"),
     .check = check_mailer, .reload = true},
    {ROW("exempt-clients", CONF_LIST, exempt_clients, NULL), .check = network_fault,
     .reload = true},
    {ROW("exempt-domains", CONF_LIST, exempt_domains, NULL), .check = check_exempt_domain,
     .reload = true},
    {ROW("add-header", CONF_BOOL, add_header, "off"), .reload = true},
};

enum { OPTION_COUNT = sizeof options / sizeof options[0] };

static void
resolve_role(const struct settings *s, int *doubt)
{
    if (*doubt == DOUBT_BY_ROLE)
        *doubt = s->role == ROLE_WALL ? DOUBT_TEMPFAIL : DOUBT_ACCEPT;
}

static void
normalise_exempt_domains(struct conf_list *domains)
{
    for (size_t i = 0; i < domains->count; i++) {
        char normal[DOMAIN_SIZE + 1];
        if (normalise_exempt(domains->items[i], normal)) {
            free(domains->items[i]);
            domains->items[i] = alloc_string(normal);
        }
    }
}

struct settings *
settings_read(const char *path, char *error, size_t size)
{
    struct settings *s = alloc_zero(1, sizeof *s);

    if (!conf_read(path, options, OPTION_COUNT, s, error, size)) {
        free(s);
        return NULL;
    }
    resolve_role(s, &s->on_pending);
    resolve_role(s, &s->on_unknown);
    resolve_role(s, &s->on_cache_down);
    normalise_exempt_domains(&s->exempt_domains);
    return s;
}

void
settings_free(struct settings *s)
{
    if (!s)
        return;
    conf_done(options, OPTION_COUNT, s);
    free(s);
}

void
settings_print(const struct settings *s, FILE *out)
{
    conf_print(options, OPTION_COUNT, s, out);
}

struct settings *
settings_reload(const char *path, const struct settings *running, char *error, size_t size)
{
    struct settings *next = settings_read(path, error, size);
    struct buf kept;

    if (!next)
        return NULL;
    buf_init(&kept, LOG_LINE_MAX);
    conf_keep_restart_values(options, OPTION_COUNT, running, next, &kept);
    if (kept.len > 0)
        log_warning("the new value of %s counts only after a restart", buf_string(&kept));
    buf_done(&kept);
    return next;
}

bool
settings_is_remote_mailer(const struct settings *s, const char *mailer)
{
    for (size_t i = 0; i < s->remote_mailers.count; i++) {
        if (strcasecmp(s->remote_mailers.items[i], mailer) == 0)
            return true;
    }
    return false;
}

bool
settings_is_exempt_domain(const struct settings *s, const char *domain)
{
    size_t len = strlen(domain);

    for (size_t i = 0; i < s->exempt_domains.count; i++) {
        const char *item = s->exempt_domains.items[i];
        size_t item_len = strlen(item);
        bool is_suffix = item[0] == '.';
        if (is_suffix ? len > item_len && strcmp(domain + len - item_len, item) == 0
                      : strcmp(domain, item) == 0)
            return true;
    }
    return false;
}
