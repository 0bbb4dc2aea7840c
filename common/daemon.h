/* daemon - what both daemons do round their work: command line, background, privileges, readiness.
 * -c FILE, -f foreground, -t test the configuration, -v more log, -V version, --print-config. */
#ifndef STS_COMMON_DAEMON_H
#define STS_COMMON_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include "common/alloc.h"

enum {
    DAEMON_EXIT_OK = 0,
    DAEMON_EXIT_FAILURE = 1, /* start-up trouble, one line on stderr */
    DAEMON_EXIT_USAGE = 64
};

struct daemon_options {
    const char *config; /* borrowed from argv, or the default that was given; absolute when the
                         * daemon goes to the background, where the folder is another */
    bool config_given;
    bool foreground, test, print_config;
    int verbose;
};

/* Reads the command line. Prints usage, help or version and returns false with `*exit_code` when
 * the program is to end here. `synopsis` is what stands behind "usage:", the program's name first.
 */
MUST_CHECK bool daemon_parse_args(int argc, char **argv, const char *default_config,
                                  const char *synopsis, struct daemon_options *out, int *exit_code);

/* The configuration file to read: NULL when none was named and none is at the usual place, so that
 * the defaults count. A file that was named must be there. */
const char *daemon_config_path(const struct daemon_options *);

/* Looks up `user` ("name" or "name:group"); false when unknown. */
MUST_CHECK bool daemon_find_user(const char *user, unsigned *uid, unsigned *gid);
/* Becomes `user` with its groups for good. With `user` NULL and uid 0: goes on and logs a warning.
 * False: `why` names the step that failed. */
MUST_CHECK bool daemon_drop_privileges(const char *user, char *why, size_t size);

/* Goes to the background. Two steps, so that whoever starts the daemon sees start-up errors: the
 * first process waits until daemon_ready() and then exits 0, or 1 when the daemon ends before. */
MUST_CHECK bool daemon_background(void);
/* Start-up is complete: tells systemd (READY=1) and releases the process that waits. */
void daemon_ready(void);
/* Tells systemd; without it these do nothing. */
void daemon_reloading(void);
void daemon_stopping(void);

/* Sockets handed over by systemd (socket activation): how many, from descriptor 3 on. 0 if none. */
int daemon_systemd_sockets(void);

/* Opens /dev/null on 0, 1, 2 where closed, ignores SIGPIPE, umask 0077, raises the limit of open
 * files to the hard limit. Returns that limit. */
size_t daemon_prepare_process(void);

#endif
