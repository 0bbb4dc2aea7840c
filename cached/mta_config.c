#include "cached/mta_config.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/scan.h"

enum { LINES_MAX = 64 * 1024, UNFIT = 100 };

static const char *const names[] = {"sendmail", "postfix", "exim"};

bool
mta_read(const char *name, enum mta *mta)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *mta = (enum mta)i;
            return true;
        }
    }
    return false;
}

const char *
mta_name(enum mta mta)
{
    return names[mta];
}

/* --- sockets in each MTA's words -------------------------------------------------------------- */

/* Whoever listens everywhere is asked at the loopback address. */
static struct sockspec
reachable(const struct sockspec *spec)
{
    struct sockspec local;
    char text[SOCKSPEC_SIZE], why[SOCKSPEC_SIZE];
    bool six = spec->addr.ss_family == AF_INET6;

    if (!sockspec_is_anywhere(spec))
        return *spec;
    snprintf(text, sizeof text, "%s:%u@localhost", six ? "inet6" : "inet", sockspec_port(spec));
    return sockspec_parse(text, &local, why, sizeof why) ? local : *spec;
}

/* No byte that means something to m4, or in main.cf or exim.conf. */
static bool
is_plain_path(const char *path)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-@=~";

    return path[strspn(path, plain)] == '\0';
}

/* What stands behind "DIRECTORY/" in `path`; NULL when it is not below. */
static const char *
below(const char *directory, const char *path)
{
    size_t len = strlen(directory);

    while (len > 0 && directory[len - 1] == '/')
        len--;
    return len > 0 && strncmp(path, directory, len) == 0 && path[len] == '/' ? path + len + 1
                                                                             : NULL;
}

/* "unix:PATH", "inet:ADDRESS:PORT": Postfix. */
static void
format_postfix(const struct sockspec *spec, const struct mta_postfix *p, bool is_free,
               char out[SOCKSPEC_SIZE])
{
    const char *inside;
    char host[SOCKSPEC_SIZE];

    if (sockspec_is_unix(spec)) {
        inside = is_free ? NULL : below(p->queue_directory, sockspec_path(spec));
        snprintf(out, SOCKSPEC_SIZE, "unix:%s", inside != NULL ? inside : sockspec_path(spec));
        return;
    }
    sockspec_host(spec, host);
    snprintf(out, SOCKSPEC_SIZE,
             spec->addr.ss_family == AF_INET6 ? "inet:[%.64s]:%u" : "inet:%.64s:%u", host,
             sockspec_port(spec));
}

/* Sendmail takes an IPv6 address in brackets only. */
static void
format_sendmail(const struct sockspec *spec, char out[SOCKSPEC_SIZE])
{
    char host[SOCKSPEC_SIZE];

    sockspec_format(spec, out);
    if (spec->addr.ss_family != AF_INET6)
        return;
    sockspec_host(spec, host);
    snprintf(out, SOCKSPEC_SIZE, "inet6:%u@[%.64s]", sockspec_port(spec), host);
}

/* "/path", "inet:ADDRESS:PORT": Exim's readsocket. */
static void
format_exim(const struct sockspec *spec, char out[SOCKSPEC_SIZE])
{
    if (sockspec_is_unix(spec))
        snprintf(out, SOCKSPEC_SIZE, "%s", sockspec_path(spec));
    else
        format_postfix(spec, NULL, true, out);
}

/* --- which socket ----------------------------------------------------------------------------- */

/* Can a Postfix daemon, chrooted or not, open the path? */
static bool
is_in_reach(const struct sockspec *spec, const struct mta_postfix *p, bool is_free)
{
    return is_free || below(p->queue_directory, sockspec_path(spec)) != NULL;
}

static int
rank_inet(const struct sockspec *spec)
{
    if (sockspec_port(spec) == 0)
        return UNFIT;
    return (sockspec_is_local(spec) ? 10 : 30) + (spec->addr.ss_family == AF_INET6);
}

static int
rank_unix(enum mta mta, const struct mta_facts *f, const struct mta_socket *s)
{
    if (!is_plain_path(sockspec_path(&s->spec)))
        return UNFIT;
    switch (mta) {
    case MTA_SENDMAIL: /* connects as root */
        return s->safe_path ? 0 : UNFIT;
    case MTA_POSTFIX:
        if (!is_in_reach(&s->spec, &f->postfix, f->postfix.smtp_free))
            return UNFIT;
        return f->everybody ? 20 : 40;
    case MTA_EXIM:
        break;
    }
    return f->everybody ? 0 : 40;
}

/* The daemon's socket that suits best; NULL when none does. */
static const struct mta_socket *
choose(enum mta mta, const struct mta_facts *f, struct sockspec *out)
{
    const struct mta_socket *best = NULL;
    int best_rank = UNFIT;

    for (size_t i = 0; i < f->listen_count; i++) {
        const struct mta_socket *s = &f->listen[i];
        struct sockspec spec = reachable(&s->spec);
        int rank = sockspec_is_unix(&spec) ? rank_unix(mta, f, s) : rank_inet(&spec);

        if (rank < best_rank) {
            best = s;
            best_rank = rank;
            *out = spec;
        }
    }
    return best;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct writer {
    enum mta mta;
    const struct mta_facts *facts;
    struct mta_config *config;
    struct sockspec socket; /* the one chosen */
};

static void
comment(struct writer *w, const char *text)
{
    buf_printf(&w->config->lines, "%s %s\n", w->mta == MTA_SENDMAIL ? "dnl" : "#", text);
}

static void
warn(struct writer *w, const char *text)
{
    buf_printf(&w->config->warnings, "%s\n", text);
    comment(w, text);
}

static void
warn_of_socket(struct writer *w)
{
    static const char *const none[] = {
        "no socket of sts-cached suits Sendmail, which refuses those below a folder that others "
        "can "
        "write to: add \"inet:8461@127.0.0.1\" to listen in sts-cached.conf",
        "no socket of sts-cached suits Postfix, which looks for paths below its queue_directory: "
        "add "
        "\"inet:8461@127.0.0.1\" to listen in sts-cached.conf",
        ("no socket of sts-cached suits Exim: add \"inet:8461@127.0.0.1\" to listen in "
         "sts-cached.conf"),
    };

    if (w->config->socket[0] == '\0')
        warn(w, none[w->mta]);
    else if (sockspec_is_unix(&w->socket) && w->mta != MTA_SENDMAIL && !w->facts->everybody)
        warn(w, "the socket is open to socket-group only (socket-mode in sts-cached.conf): the "
                "MTA's user must be in it");
    if (!w->facts->enforcing)
        warn(w, "sts-cached is not in mode enforce: no policy is enforced until it is");
}

static void
write_sendmail(struct writer *w)
{
    const struct mta_facts *f = w->facts;
    struct sockspec spec = reachable(&f->milter_socket.spec);
    char socket[SOCKSPEC_SIZE], milter[SOCKSPEC_SIZE] = "none";
    const char *slash = strrchr(f->ca_file, '/');
    struct buf *out = &w->config->lines;

    w->config->map = "sts";
    if (f->milter && sockspec_is_unix(&spec) &&
        (!f->milter_socket.safe_path || !is_plain_path(sockspec_path(&spec))))
        warn(w, "without the milter: Sendmail refuses its socket, which lies below a folder that "
                "others can write to");
    else if (f->milter)
        format_sendmail(&spec, milter);
    if (strcmp(milter, "none") != 0)
        sockspec_format(&spec, w->config->milter);
    format_sendmail(&w->socket, socket);
    buf_printf(out, "define(`confCACERT', `%s')dnl\n", f->ca_file);
    buf_printf(out, "define(`confCACERT_PATH', `%.*s')dnl\n",
               slash == NULL || slash == f->ca_file ? 1 : (int)(slash - f->ca_file), f->ca_file);
    buf_add_string(out, "define(`SMTP_MAILER_MAXRCPTS', `1')dnl\n"
                        "define(`confTO_HOSTSTATUS', `0s')dnl\n"
                        "define(`confTLS_FALLBACK_TO_CLEAR', `true')dnl\n");
    buf_printf(out, "FEATURE(`sts_milter', `%s', `%s'%s)dnl\n", socket, milter,
               f->milter_is_wall ? ", `wall'" : "");
}

/* "3.10", "3.12-20260821" and the like; false when it is no version. */
static bool
read_version(const char *text, uint64_t *major, uint64_t *minor)
{
    struct scan s = scan_bytes(text, strlen(text));

    return scan_number(&s, 3, major) && scan_char(&s, '.') && scan_number(&s, 5, minor) &&
           (scan_is_done(&s) || *s.at == '.' || *s.at == '-');
}

/* The map name by the version: since 3.10 with attributes that older ones refuse (and then send
 * nothing), since 3.4 with servername. */
static void
write_postfix_version(struct writer *w)
{
    const char *version = w->facts->postfix.version;
    uint64_t major, minor;
    char text[200];

    w->config->map = "postfix";
    if (!read_version(version, &major, &minor)) {
        comment(w, "the version of Postfix was not found (postconf -h mail_version): the map name "
                   "is the one for 3.4 and later; from 3.10 on it can be QUERYwithTLSRPT");
        return;
    }
    if (major > 3 || (major == 3 && minor >= 10)) {
        w->config->map = "QUERYwithTLSRPT";
    } else if (major < 3 || minor < 4) {
        snprintf(text, sizeof text,
                 "Postfix %s is too old to enforce MTA-STS: 3.4 or later is needed", version);
        warn(w, text);
        return;
    }
    snprintf(text, sizeof text, "Postfix %s", version);
    comment(w, text);
}

static void
write_postfix_dane(struct writer *w)
{
    const char *level = w->facts->postfix.dns_support;
    char text[300];

    if (!w->facts->dane) {
        if (strncmp(w->facts->postfix.security_level, "dane", 4) == 0)
            warn(w, "main.cf asks for DANE: say dane = on in sts-cached.conf, else a policy is "
                    "obeyed in place of it");
        return;
    }
    if (strcasecmp(level, "dnssec") != 0) {
        snprintf(text, sizeof text,
                 "dane = on in sts-cached.conf needs smtp_dns_support_level = dnssec in main.cf, "
                 "which has \"%s\": else mail to domains with DANE waits",
                 level);
        warn(w, text);
    }
    buf_add_string(&w->config->lines, "smtp_dns_support_level = dnssec\n");
}

static void
write_postfix_milter(struct writer *w)
{
    const struct mta_facts *f = w->facts;
    struct sockspec spec = reachable(&f->milter_socket.spec);
    char text[SOCKSPEC_SIZE];

    if (!f->milter)
        return;
    if (sockspec_is_unix(&spec) && (!is_in_reach(&spec, &f->postfix, f->postfix.smtpd_free) ||
                                    !is_plain_path(sockspec_path(&spec)))) {
        warn(w, "without the milter: its socket is not below queue_directory, and smtpd may be "
                "chrooted (master.cf); set socket = \"inet:8462@127.0.0.1\" in sts-milter.conf "
                "(with the systemd unit: ListenStream=127.0.0.1:8462 in sts-milter.socket)");
        return;
    }
    sockspec_format(&spec, w->config->milter);
    format_postfix(&spec, &f->postfix, f->postfix.smtpd_free, text);
    buf_printf(&w->config->lines, "smtpd_milters = %s\nmilter_default_action = %s\n", text,
               f->milter_is_wall ? "tempfail" : "accept");
}

/* What is stronger than `may` stays. */
static const char *
security_level(const struct mta_postfix *p)
{
    static const char *const stronger[] = {"encrypt", "dane",        "dane-only",
                                           "verify",  "fingerprint", "secure"};

    for (size_t i = 0; i < sizeof stronger / sizeof stronger[0]; i++) {
        if (strcmp(p->security_level, stronger[i]) == 0)
            return stronger[i];
    }
    return "may";
}

static void
write_postfix(struct writer *w)
{
    char socket[SOCKSPEC_SIZE];

    write_postfix_version(w);
    format_postfix(&w->socket, &w->facts->postfix, w->facts->postfix.smtp_free, socket);
    buf_printf(&w->config->lines,
               "smtp_tls_security_level = %s\n"
               "smtp_tls_CAfile = %s\n"
               "smtp_tls_policy_maps = socketmap:%s:%s\n",
               security_level(&w->facts->postfix), w->facts->ca_file, socket, w->config->map);
    write_postfix_dane(w);
    write_postfix_milter(w);
}

static void
write_exim(struct writer *w)
{
    char socket[SOCKSPEC_SIZE];

    w->config->map = "sts";
    format_exim(&w->socket, socket);
    buf_printf(&w->config->lines, "STS_SOCKET = %s\nSTS_CA_FILE = %s\n", socket, w->facts->ca_file);
}

static void (*const writers[])(struct writer *) = {write_sendmail, write_postfix, write_exim};

static const char *const headings[] = {
    "sts-milter: for sendmail.mc, before the MAILER lines (contrib/sendmail/README.md)",
    "sts-milter: for main.cf",
    "sts-milter: for exim.conf, before sts_milter.main is included (contrib/exim)",
};

void
mta_config_make(enum mta mta, const struct mta_facts *facts, struct mta_config *config)
{
    struct writer w = {.mta = mta, .facts = facts, .config = config};

    *config = (struct mta_config){.map = ""};
    buf_init(&config->lines, LINES_MAX);
    buf_init(&config->warnings, LINES_MAX);
    if (choose(mta, facts, &w.socket) != NULL)
        sockspec_format(&w.socket, config->socket);
    comment(&w, headings[mta]);
    warn_of_socket(&w);
    if (config->socket[0] != '\0')
        writers[mta](&w);
}

void
mta_config_done(struct mta_config *config)
{
    buf_done(&config->lines);
    buf_done(&config->warnings);
}
