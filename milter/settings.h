/* settings - what the operator wrote in sts-milter.conf, as one plain struct.
 * The table in settings.c is the only list of options; the manual page is checked against it. */
#ifndef STS_MILTER_SETTINGS_H
#define STS_MILTER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/conffile.h"

/* A gate stands before maps that enforce: in doubt it lets pass. A wall is all there is. */
enum milter_role { ROLE_GATE, ROLE_WALL };
enum milter_mode { MODE_ENFORCE, MODE_OBSERVE };
enum on_refuse { REFUSE_TEMPFAIL, REFUSE_REJECT, REFUSE_QUARANTINE };
/* DOUBT_BY_ROLE is only written in files: settings_read turns it into one of the others. */
enum on_doubt { DOUBT_ACCEPT, DOUBT_TEMPFAIL, DOUBT_BY_ROLE };

struct settings {
    char *socket;
    int64_t socket_mode;
    char *socket_group;
    char *user;
    int64_t processes;
    int64_t timeout_ms;                        /* of libmilter: how long a session may be silent */
    char *cache;                               /* socket of sts-cached */
    int64_t wait_ms;                           /* what the verdicts may cost one message in all */
    int role;                                  /* enum milter_role */
    int mode;                                  /* enum milter_mode */
    int on_refuse;                             /* enum on_refuse */
    int on_pending, on_unknown, on_cache_down; /* enum on_doubt, never DOUBT_BY_ROLE */
    struct conf_list remote_mailers;
    struct conf_list exempt_clients; /* addresses and networks */
    struct conf_list exempt_domains; /* "example.com" or ".example.com", normalised */
    bool add_header;
};

/* Reads `path` (NULL: defaults only). NULL on failure, and `error` says where and why. */
MUST_CHECK struct settings *settings_read(const char *path, char *error, size_t size);
void settings_free(struct settings *);
/* Writes a file that settings_read understands. */
void settings_print(const struct settings *, FILE *);
/* Reads `path` again, keeping what only a restart can change (a warning names it). NULL: as above.
 */
MUST_CHECK struct settings *settings_reload(const char *path, const struct settings *running,
                                            char *error, size_t size);

/* Is this {rcpt_mailer} one that hands mail to other hosts? */
bool settings_is_remote_mailer(const struct settings *, const char *mailer);
/* Does `exempt-domains` name this (normalised) domain? ".example.com" stands for all below it. */
bool settings_is_exempt_domain(const struct settings *, const char *domain);

#endif
