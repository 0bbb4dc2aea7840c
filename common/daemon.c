#include "common/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "common/log.h"
#include "common/sockspec.h"

/* --- command line ------------------------------------------------------------- */

static const char *
program_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static void
print_help(const char *synopsis, const char *default_config)
{
    printf("usage: %s\n"
           "  -c, --config FILE   read FILE (default: %s)\n"
           "  -f, --foreground    stay in the foreground, log to stderr\n"
           "  -t, --test          test the configuration and end\n"
           "      --print-config  print the configuration that is in force and end\n"
           "  -v, --verbose       log more\n"
           "  -V, --version       print the version and end\n"
           "  -h, --help          print this and end\n",
           synopsis, default_config);
}

static int
usage(const char *synopsis)
{
    fprintf(stderr, "usage: %s\n", synopsis);
    return DAEMON_EXIT_USAGE;
}

/* A reload reads the file again when "/" is the folder. There is one command line, hence a static.
 */
static const char *
absolute(const char *path)
{
    static char whole[PATH_MAX];
    char folder[PATH_MAX];

    if (path[0] == '/' || getcwd(folder, sizeof folder) == NULL)
        return path;
    return snprintf(whole, sizeof whole, "%s/%s", folder, path) < PATH_MAX ? whole : path;
}

bool
daemon_parse_args(int argc, char **argv, const char *default_config, const char *synopsis,
                  struct daemon_options *out, int *exit_code)
{
    enum { PRINT_CONFIG = 256 };
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'}, {"foreground", no_argument, NULL, 'f'},
        {"test", no_argument, NULL, 't'},         {"print-config", no_argument, NULL, PRINT_CONFIG},
        {"verbose", no_argument, NULL, 'v'},      {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int c;

    *out = (struct daemon_options){.config = default_config};
    *exit_code = DAEMON_EXIT_OK;
    optind = 0; /* glibc: begin anew */
    while ((c = getopt_long(argc, argv, "c:ftvVh", long_options, NULL)) != -1) {
        switch (c) {
        case 'c':
            out->config = optarg;
            out->config_given = true;
            break;
        case 'f':
            out->foreground = true;
            break;
        case 't':
            out->test = true;
            break;
        case PRINT_CONFIG:
            out->print_config = true;
            break;
        case 'v':
            out->verbose++;
            break;
        case 'V':
            printf("%s %s\n", program_name(argv[0]), PACKAGE_VERSION);
            return false;
        case 'h':
            print_help(synopsis, default_config);
            return false;
        default:
            *exit_code = usage(synopsis);
            return false;
        }
    }
    if (optind == argc) {
        if (!out->foreground)
            out->config = absolute(out->config);
        return true;
    }
    fprintf(stderr, "%s: unexpected argument: %s\n", program_name(argv[0]), argv[optind]);
    *exit_code = usage(synopsis);
    return false;
}

const char *
daemon_config_path(const struct daemon_options *options)
{
    return options->config_given || access(options->config, F_OK) == 0 ? options->config : NULL;
}

/* --- privileges --------------------------------------------------------------- */

static char *
user_name(const char *user)
{
    return alloc_string_len(user, strcspn(user, ":"));
}

bool
daemon_find_user(const char *user, unsigned *uid, unsigned *gid)
{
    const char *colon = strchr(user, ':');
    char *name = user_name(user);
    const struct passwd *entry = getpwnam(name);

    free(name);
    if (entry == NULL)
        return false;
    *uid = entry->pw_uid;
    *gid = entry->pw_gid;
    return colon == NULL || sockspec_group(colon + 1, gid);
}

/* The steps from root to `user`: NULL, or the one that failed with its errno. */
static const char *
become(const char *user, uid_t uid, gid_t gid)
{
    char *name = user_name(user);
    int result = initgroups(name, gid);

    free(name);
    if (result != 0)
        return "set the groups";
    if (setresgid(gid, gid, gid) != 0)
        return "set the group id";
    /* Without keep-caps the kernel drops all capabilities with the last uid 0. */
    if (prctl(PR_SET_KEEPCAPS, 0L, 0L, 0L, 0L) != 0 || setresuid(uid, uid, uid) != 0)
        return "set the user id";
    if (setuid(0) == 0 || seteuid(0) == 0) {
        errno = EPERM;
        return "give up root for good";
    }
    return NULL;
}

bool
daemon_drop_privileges(const char *user, char *why, size_t size)
{
    unsigned uid = geteuid(), gid = getegid();
    const char *failed = NULL;

    if (user != NULL && !daemon_find_user(user, &uid, &gid)) {
        snprintf(why, size, "user %s: unknown user or group", user);
        return false;
    }
    if (geteuid() != 0 && (uid != geteuid() || gid != getegid())) {
        errno = EPERM;
        failed = "change the user without being root";
    } else if (uid == 0) {
        log_warning("running as root: set user");
    } else if (geteuid() == 0) {
        failed = become(user, uid, gid);
    }
    /* No program that we might start can win back what we have just given up. */
    if (failed == NULL && prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0)
        failed = "set no_new_privs";
    if (failed != NULL)
        snprintf(why, size, "user %s: cannot %s: %s", user ? user : "-", failed, strerror(errno));
    return failed == NULL;
}

/* --- background and readiness ------------------------------------------------- */

/* The end of the pipe on which the first process waits; -1 in the foreground and once released. A
 * process has one background, hence a static. */
static int waiting_fd = -1;

/* What the first process does after the fork. */
static void
wait_until_ready(int fd)
{
    char byte;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    _exit(n == 1 ? DAEMON_EXIT_OK : DAEMON_EXIT_FAILURE);
}

bool
daemon_background(void)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    fflush(NULL);
    pid = fork();
    if (pid > 0) {
        close(ends[1]);
        wait_until_ready(ends[0]);
    }
    close(ends[0]);
    if (pid < 0 || setsid() < 0 || chdir("/") != 0) {
        close(ends[1]);
        return false;
    }
    waiting_fd = ends[1];
    return true;
}

static bool
open_null(int fd)
{
    int null = open("/dev/null", O_RDWR);
    bool done = null >= 0 && dup2(null, fd) >= 0;

    if (null > STDERR_FILENO)
        close(null);
    return done;
}

/* Until now stderr showed start-up errors; whoever reads it must not wait for us any longer. */
static void
release_waiting(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (!open_null(fd))
            log_errno("cannot open /dev/null");
    }
    if (write(waiting_fd, "", 1) != 1)
        log_debug("nobody waits for the start-up to end");
    close(waiting_fd);
    waiting_fd = -1;
}

#ifdef HAVE_LIBSYSTEMD
static void
notify(const char *state)
{
    int result = sd_notify(0, state);

    if (result < 0)
        log_debug("systemd was not notified: %s", strerror(-result));
}

int
daemon_systemd_sockets(void)
{
    int count = sd_listen_fds(0);

    return count > 0 ? count : 0;
}
#else
static void
notify(const char *state)
{
    (void)state;
}

int
daemon_systemd_sockets(void)
{
    return 0;
}
#endif

void
daemon_ready(void)
{
    notify("READY=1");
    if (waiting_fd >= 0)
        release_waiting();
}

void
daemon_reloading(void)
{
    char state[64];
    struct timespec now;

    /* systemd tells by the time that the READY=1 which follows is not an old one. */
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld%06ld", (long long)now.tv_sec,
             now.tv_nsec / 1000);
    notify(state);
}

void
daemon_stopping(void)
{
    notify("STOPPING=1");
}

/* --- the process -------------------------------------------------------------- */

size_t
daemon_prepare_process(void)
{
    struct rlimit files;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && !open_null(fd))
            log_errno("cannot open /dev/null");
    }
    signal(SIGPIPE, SIG_IGN);
    umask(0077);
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 0;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 && getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 0;
    return files.rlim_cur;
}
