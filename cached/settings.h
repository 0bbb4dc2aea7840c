/* settings - what the operator wrote in sts-cached.conf, as one plain struct.
 * The table in settings.c is the only list of options; the manual page is checked against it. */
#ifndef STS_CACHED_SETTINGS_H
#define STS_CACHED_SETTINGS_H

#include <stdio.h>

#include "common/conffile.h"

enum {
    SETTINGS_LISTEN_MAX = 31,    /* items of `listen` */
    SETTINGS_DNS_SERVERS_MAX = 8 /* items of `dns.servers` */
};

enum dane_failure { DANE_FAILURE_STS, DANE_FAILURE_DEFER };
enum tristate_answer { ANSWER_ACCEPT, ANSWER_TEMPFAIL };
enum work_mode { WORK_ENFORCE, WORK_OBSERVE, WORK_OFF };

struct settings {
    struct conf_list listen;
    char *control;
    int64_t socket_mode;
    char *socket_group;
    char *user;
    char *state_directory;
    int64_t store_size, memory_size;
    int64_t answer_deadline_ms;
    int64_t refresh_interval_ms;
    int on_unknown, on_pending; /* enum tristate_answer */
    int mode;                   /* enum work_mode */
    bool dane, probe;
    int dane_on_failure; /* enum dane_failure */
    int64_t probe_port;
    struct {
        char *listen;
    } http;
    struct {
        struct conf_list servers;
        int64_t timeout_ms;
        bool trust_ad;
    } dns;
    struct {
        char *ca_file;
        int64_t port, timeout_ms, max_running;
        struct conf_list allow_address;
        char *user_agent, *proxy;
    } fetch;
    struct {
        char *server;
        struct conf_list sentinels;
        char *master_name, *username, *password_file, *prefix, *key_file;
        int64_t database, timeout_ms;
        bool tls, insecure;
        char *ca_file, *cert_file, *key_file_tls;
    } redis;
};

/* Reads `path` (NULL: defaults only). NULL on failure, and `error` says where and why. */
MUST_CHECK struct settings *settings_read(const char *path, char *error, size_t size);
void settings_free(struct settings *);
void settings_print(const struct settings *, FILE *);
/* Reads `path` again, keeping what only a restart can change (a warning names it). NULL: as above.
 */
MUST_CHECK struct settings *settings_reload(const char *path, const struct settings *running,
                                            char *error, size_t size);

#endif
