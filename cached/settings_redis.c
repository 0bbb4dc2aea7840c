#include "cached/settings_redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/farm_key.h"
#include "cached/settings.h"
#include "common/log.h"
#include "common/regular.h"
#include "common/sockspec.h"

/* Where to say what is wrong. */
struct complaint {
    const char **option;
    char *why;
    size_t size;
};

static bool
fail(const struct complaint *to, const char *option, const char *reason)
{
    *to->option = option;
    snprintf(to->why, to->size, "%s", reason);
    return false;
}

bool
settings_redis_is_used(const struct settings *s)
{
    return s->redis.server != NULL || s->redis.sentinels.count > 0;
}

/* Somebody meant to join a farm. */
static void
warn_unused(const struct settings *s)
{
    if (s->redis.key_file != NULL || s->redis.password_file != NULL || s->redis.username != NULL ||
        s->redis.tls)
        log_warning("redis: neither server nor sentinels are given: this host is alone");
}

/* --- options beside each other ---------------------------------------------------------------- */

static bool
check_servers(const struct settings *s, const struct complaint *to)
{
    bool sentinels = s->redis.sentinels.count > 0;

    if (s->redis.server != NULL && sentinels)
        return fail(to, "sentinels", "either server or sentinels, not both");
    if (sentinels && s->redis.master_name == NULL)
        return fail(to, "sentinels", "master-name must say which master to ask them for");
    if (s->redis.master_name != NULL && !sentinels)
        return fail(to, "master-name", "it is asked of sentinels, and none are given");
    if (s->redis.username != NULL && s->redis.password_file == NULL)
        return fail(to, "username", "a username needs a password-file");
    return true;
}

static bool
check_prefix(const struct settings *s, const struct complaint *to)
{
    size_t len = strlen(s->redis.prefix);
    bool good = len >= 1 && len <= SETTINGS_PREFIX_MAX;

    for (size_t i = 0; good && i < len; i++)
        good = s->redis.prefix[i] > ' ' && s->redis.prefix[i] <= '~';
    return good || fail(to, "prefix", "must be 1 to 64 printable ASCII characters without blanks");
}

static bool
check_tls(const struct settings *s, const struct complaint *to)
{
    const char *unused = s->redis.ca_file != NULL     ? "ca-file"
                         : s->redis.cert_file != NULL ? "cert-file"
                                                      : NULL;
    struct sockspec spec;

    if (s->redis.cert_file != NULL && s->redis.key_file_tls == NULL)
        return fail(to, "cert-file", "key-file-tls must name the key of this certificate");
    if (s->redis.key_file_tls != NULL && s->redis.cert_file == NULL)
        return fail(to, "key-file-tls", "cert-file must name the certificate of this key");
    if (s->redis.tls && s->redis.server != NULL &&
        sockspec_parse(s->redis.server, &spec, to->why, to->size) && sockspec_is_unix(&spec))
        return fail(to, "tls", "there is no TLS on a unix socket");
    if (!s->redis.tls && unused != NULL)
        log_warning("redis.%s is not used, because redis.tls is off", unused);
    return true;
}

static bool
is_local(const char *address)
{
    char why[128];
    struct sockspec spec;

    return sockspec_parse(address, &spec, why, sizeof why) && sockspec_is_local(&spec);
}

/* Whoever can write to a Redis elsewhere could tell a farm without a key anything. */
static bool
check_secrecy(const struct settings *s, const struct complaint *to)
{
    const char *far =
        s->redis.server != NULL && !is_local(s->redis.server) ? s->redis.server : NULL;

    if (s->redis.key_file != NULL || s->redis.insecure)
        return true;
    for (size_t i = 0; i < s->redis.sentinels.count && far == NULL; i++) {
        if (!is_local(s->redis.sentinels.items[i]))
            far = s->redis.sentinels.items[i];
    }
    if (far == NULL)
        return true;
    *to->option = "key-file";
    snprintf(to->why, to->size,
             "needed, because %.80s is not on this host (or say \"insecure = on\")", far);
    return false;
}

/* --- files ------------------------------------------------------------------------------------ */

static bool
check_file(const char *option, const char *path, const struct complaint *to)
{
    FILE *file;

    if (path == NULL)
        return true;
    *to->option = option;
    file = regular_open(path, NULL, to->why, to->size);
    if (file != NULL)
        fclose(file);
    return file != NULL;
}

static bool
check_key_file(const struct settings *s, const struct complaint *to)
{
    struct farm_key *key;

    if (s->redis.key_file == NULL)
        return true;
    *to->option = "key-file";
    key = farm_key_read(s->redis.key_file, to->why, to->size);
    farm_key_free(key);
    return key != NULL;
}

static char *
read_password(const char *path, mode_t *mode, char *why, size_t size)
{
    char line[SETTINGS_PASSWORD_MAX + sizeof "\r\n"], *password = NULL;
    FILE *file = regular_open(path, mode, why, size);

    if (file == NULL)
        return NULL;
    if (fgets(line, sizeof line, file) == NULL)
        line[0] = '\0';
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] != '\0' && strlen(line) <= SETTINGS_PASSWORD_MAX)
        password = alloc_string(line);
    else
        snprintf(why, size, "%s: the first line is no password (1 to %d bytes)", path,
                 SETTINGS_PASSWORD_MAX);
    explicit_bzero(line, sizeof line);
    return password;
}

char *
settings_redis_password(const char *path, char *why, size_t size)
{
    return read_password(path, NULL, why, size);
}

static bool
check_password_file(const struct settings *s, const struct complaint *to)
{
    mode_t mode;
    char *password;

    if (s->redis.password_file == NULL)
        return true;
    *to->option = "password-file";
    password = read_password(s->redis.password_file, &mode, to->why, to->size);
    if (password == NULL)
        return false;
    explicit_bzero(password, strlen(password));
    free(password);
    if ((mode & 07) != 0)
        log_warning("redis.password-file %s: others may read or change it (chmod o= %s)",
                    s->redis.password_file, s->redis.password_file);
    return true;
}

static bool
check_files(const struct settings *s, const struct complaint *to)
{
    return check_key_file(s, to) && check_password_file(s, to) &&
           (!s->redis.tls || (check_file("ca-file", s->redis.ca_file, to) &&
                              check_file("cert-file", s->redis.cert_file, to) &&
                              check_file("key-file-tls", s->redis.key_file_tls, to)));
}

bool
settings_redis_check(const struct settings *s, const char **option, char *why, size_t size)
{
    const struct complaint to = {option, why, size};

    if (!check_servers(s, &to) || !check_prefix(s, &to) || !check_tls(s, &to))
        return false;
    if (settings_redis_is_used(s))
        return check_secrecy(s, &to) && check_files(s, &to);
    warn_unused(s);
    return true;
}
