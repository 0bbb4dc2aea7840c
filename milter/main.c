/* sts-milter - refuses mail at RCPT when the recipient's domain enforces MTA-STS and none of its
 * hosts may take it. This file only starts and stops things. */
#include <stdio.h>

#include "common/daemon.h"
#include "common/log.h"
#include "milter/parent.h"
#include "milter/settings.h"

static const char synopsis[] = "sts-milter [-ftvV] [-c FILE] [--print-config]";

static int
fail(const char *why)
{
    fprintf(stderr, "sts-milter: %s\n", why);
    return DAEMON_EXIT_FAILURE;
}

static int
run(const struct daemon_options *options, struct settings *settings)
{
    const char *user = settings->user;
    struct parent *parent;
    char why[320];
    int exit_code = DAEMON_EXIT_FAILURE;

    daemon_prepare_process();
    log_open("sts-milter", options->foreground,
             options->verbose > 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    parent = parent_new(daemon_config_path(options), settings, why, sizeof why);
    if (!parent)
        return fail(why);
    if (!daemon_drop_privileges(user, why, sizeof why))
        fail(why);
    else if (!options->foreground && !daemon_background())
        fail("cannot go to the background");
    else
        exit_code = parent_run(parent);
    parent_free(parent);
    return exit_code;
}

int
main(int argc, char **argv)
{
    struct daemon_options options;
    struct settings *settings;
    char error[512];
    int exit_code;

    if (!daemon_parse_args(argc, argv, SYSCONFDIR "/sts-milter.conf", synopsis, &options,
                           &exit_code))
        return exit_code;
    settings = settings_read(daemon_config_path(&options), error, sizeof error);
    if (!settings)
        return fail(error);
    if (options.print_config)
        settings_print(settings, stdout);
    if (options.print_config || options.test) {
        settings_free(settings);
        return DAEMON_EXIT_OK;
    }
    return run(&options, settings);
}
