/* mta_config - the lines that make an MTA of this host ask sts-cached and sts-milter.
 * Decides only: which socket suits which MTA, which map name a Postfix understands. What is known
 * of the host comes as plain facts (mta_host.h). */
#ifndef STS_CACHED_MTA_CONFIG_H
#define STS_CACHED_MTA_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/sockspec.h"

enum mta { MTA_SENDMAIL, MTA_POSTFIX, MTA_EXIM };

enum { MTA_SOCKETS_MAX = 33, MTA_VERSION_SIZE = 64, MTA_PATH_SIZE = 512 };

struct mta_socket {
    struct sockspec spec;
    bool safe_path; /* unix: nobody but the owners can write to a folder on the way */
};

/* What postconf says; empty where it says nothing sensible. */
struct mta_postfix {
    char version[MTA_VERSION_SIZE]; /* "3.7.11" */
    char queue_directory[MTA_PATH_SIZE];
    char dns_support[MTA_VERSION_SIZE];    /* smtp_dns_support_level */
    char security_level[MTA_VERSION_SIZE]; /* smtp_tls_security_level */
    bool smtp_free, smtpd_free;            /* known not to be chrooted */
};

struct mta_facts {
    struct mta_socket listen[MTA_SOCKETS_MAX]; /* the daemon's query sockets, in its order */
    size_t listen_count;
    bool everybody; /* socket-mode lets every user connect to its unix sockets */
    bool dane;
    bool enforcing; /* mode = enforce */
    const char *ca_file;
    bool milter; /* wanted */
    struct mta_socket milter_socket;
    bool milter_is_wall;
    struct mta_postfix postfix;
};

struct mta_config {
    char socket[SOCKSPEC_SIZE]; /* of sts-cached, "unix:/path"; empty: none suits */
    char milter[SOCKSPEC_SIZE]; /* of sts-milter; empty: the lines have none */
    const char *map;            /* the name that the MTA asks for */
    struct buf lines;           /* to paste, comments included */
    struct buf warnings;        /* one a line; the lines have them as comments */
};

/* False: no such MTA. */
MUST_CHECK bool mta_read(const char *name, enum mta *);
const char *mta_name(enum mta);

/* Never fails: where no socket of the daemon suits, `socket` is empty and a warning says what to
 * set. mta_config_done frees the rest. */
void mta_config_make(enum mta, const struct mta_facts *, struct mta_config *);
void mta_config_done(struct mta_config *);

#endif
