#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/daemon.h"

/* Runs `body` in a process of its own and returns the wait status. `body` must not return through
 * cmocka: it says by its exit code what it found. */
static int
in_child(int (*body)(const void *), const void *arg)
{
    pid_t pid;
    int status;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body(arg));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- command line ------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *argv[6];
    bool goes_on;
    int exit_code;
    const char *config;
    bool config_given, foreground, test, print_config;
    int verbose;
} lines[] = {
    {"nothing", {NULL}, true, 0, "/default", false, false, false, false, 0},
    {"all short", {"-f", "-t", "-vv", "-c", "/x"}, true, 0, "/x", true, true, true, false, 2},
    {"all together", {"-ftvc/x"}, true, 0, "/x", true, true, true, false, 1},
    {"long",
     {"--print-config", "--config=/y", "--foreground"},
     true,
     0,
     "/y",
     true,
     true,
     false,
     true,
     0},
    {"version", {"-V"}, false, 0, NULL, false, false, false, false, 0},
    {"help", {"--help"}, false, 0, NULL, false, false, false, false, 0},
    {"unknown option", {"-x"}, false, 64, NULL, false, false, false, false, 0},
    {"unknown long option", {"--prin-all"}, false, 64, NULL, false, false, false, false, 0},
    {"no file behind -c", {"-c"}, false, 64, NULL, false, false, false, false, 0},
    {"an argument", {"-f", "file"}, false, 64, NULL, false, false, false, false, 0},
};

static bool
parse(const char *const *args, struct daemon_options *out, int *exit_code)
{
    char *argv[8] = {NULL};
    int argc = 1;

    argv[0] = strdup("/usr/sbin/sts-cached");
    for (; args[argc - 1] != NULL; argc++)
        argv[argc] = strdup(args[argc - 1]);
    bool goes_on = daemon_parse_args(argc, argv, "/default", "sts-cached [-f]", out, exit_code);
    static char config[64]; /* borrowed from argv, which ends here */
    snprintf(config, sizeof config, "%s", out->config);
    out->config = config;
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return goes_on;
}

static void
test_command_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct daemon_options got;
        int exit_code = -1;
        bool goes_on = parse(lines[i].argv, &got, &exit_code);

        if (goes_on != lines[i].goes_on || exit_code != lines[i].exit_code)
            fail_msg("%s: %d, exit code %d", lines[i].name, goes_on, exit_code);
        if (goes_on &&
            (strcmp(got.config, lines[i].config) != 0 ||
             got.config_given != lines[i].config_given || got.foreground != lines[i].foreground ||
             got.test != lines[i].test || got.print_config != lines[i].print_config ||
             got.verbose != lines[i].verbose))
            fail_msg("%s: wrong options", lines[i].name);
    }
}

/* In the background "/" is the folder, and a reload must find the file. */
static void
test_file_named_from_here(void **state)
{
    static const char *const background[] = {"-c", "here.conf", NULL};
    static const char *const foreground[] = {"-f", "-c", "here.conf", NULL};
    struct daemon_options options;
    int exit_code;

    (void)state;
    assert_int_equal(chdir("/tmp"), 0);
    assert_true(parse(background, &options, &exit_code));
    assert_string_equal(options.config, "/tmp/here.conf");
    assert_true(parse(foreground, &options, &exit_code));
    assert_string_equal(options.config, "here.conf");
}

/* What `args` write to stdout (fd 1) or stderr (fd 2). */
static void
capture(const char *const *args, int fd, char *text, size_t size)
{
    FILE *file = tmpfile();
    struct daemon_options options;
    int exit_code, saved = dup(fd);
    size_t len;

    assert_non_null(file);
    fflush(NULL);
    dup2(fileno(file), fd);
    assert_false(parse(args, &options, &exit_code));
    fflush(NULL);
    dup2(saved, fd);
    close(saved);
    rewind(file);
    len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    fclose(file);
}

static void
test_what_is_printed(void **state)
{
    static const char *const version[] = {"-V", NULL}, *const help[] = {"-h", NULL},
                             *const wrong[] = {"-f", "x", NULL};
    char text[2000];

    (void)state;
    capture(version, STDOUT_FILENO, text, sizeof text);
    assert_string_equal(text, "sts-cached " PACKAGE_VERSION "\n");
    capture(help, STDOUT_FILENO, text, sizeof text);
    assert_ptr_equal(strstr(text, "usage: sts-cached [-f]\n"), text);
    assert_non_null(strstr(text, "--print-config"));
    assert_non_null(strstr(text, "(default: /default)"));
    capture(wrong, STDERR_FILENO, text, sizeof text);
    assert_string_equal(text, "sts-cached: unexpected argument: x\nusage: sts-cached [-f]\n");
}

/* --- privileges ----------------------------------------------------------------------- */

static void
test_find_user(void **state)
{
    unsigned uid, gid;

    (void)state;
    assert_true(daemon_find_user("root", &uid, &gid));
    assert_int_equal(uid, 0);
    assert_int_equal(gid, 0);
    assert_true(daemon_find_user("root:12345", &uid, &gid));
    assert_int_equal(uid, 0);
    assert_int_equal(gid, 12345);
    assert_false(daemon_find_user("no-such-user", &uid, &gid));
    assert_false(daemon_find_user("root:no-such-group", &uid, &gid));
    assert_false(daemon_find_user("root:", &uid, &gid));
    assert_false(daemon_find_user(":root", &uid, &gid));
    assert_false(daemon_find_user("", &uid, &gid));
}

static int
drop(const void *arg)
{
    const struct passwd *wanted = getpwnam("nobody");
    uid_t ids[3];
    gid_t gids[3], groups[100], before = 0;
    char why[200] = "";
    int count;

    if (setgroups(1, &before) != 0 || !daemon_drop_privileges(arg, why, sizeof why))
        return 1;
    if (getresuid(&ids[0], &ids[1], &ids[2]) || getresgid(&gids[0], &gids[1], &gids[2]))
        return 2;
    for (int i = 0; i < 3; i++) {
        if (ids[i] != wanted->pw_uid || gids[i] != wanted->pw_gid)
            return 3;
    }
    count = getgroups(100, groups);
    for (int i = 0; i < count; i++) {
        if (groups[i] == 0)
            return 4;
    }
    if (setuid(0) == 0 || setgid(0) == 0 || setgroups(0, NULL) == 0)
        return 5;
    return prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1 ? 0 : 6;
}

static int
stay(const void *arg)
{
    char why[200] = "";

    return daemon_drop_privileges(arg, why, sizeof why) ? 0 : 1;
}

static int
refused(const void *arg)
{
    char why[200] = "";

    if (daemon_drop_privileges(arg, why, sizeof why))
        return 1;
    return strstr(why, arg) != NULL ? 0 : 2;
}

/* From an ordinary user there is no way to another. */
static int
change_user(const void *arg)
{
    if (stay(arg) != 0)
        return 1;
    return stay("root") != 0 && stay(arg) == 0 ? 0 : 2;
}

static void
test_drop_privileges(void **state)
{
    (void)state;
    assert_int_equal(in_child(stay, NULL), 0);
    assert_int_equal(in_child(refused, "no-such-user"), 0);
    if (geteuid() != 0)
        skip();
    assert_int_equal(in_child(drop, "nobody"), 0);
    assert_int_equal(in_child(stay, "root"), 0);
    assert_int_equal(in_child(change_user, "nobody"), 0);
}

/* --- background ------------------------------------------------------------------------- */

struct start {
    int go[2];     /* the background process waits for a byte, or the end, on this */
    int report[2]; /* and writes what it saw here */
};

static int
become_daemon(void *arg)
{
    struct start *s = arg;
    char order = 0, null = '\0';
    struct stat out;

    close(s->go[1]);
    if (!daemon_background())
        return 70;
    if (read(s->go[0], &order, 1) == 1 && order == 'r') {
        daemon_ready();
        daemon_ready(); /* as after a reload */
        null = fstat(STDERR_FILENO, &out) == 0 && S_ISCHR(out.st_mode) ? 'n' : 'f';
        if (getsid(0) != getpid())
            null = 's';
    }
    return write(s->report[1], &null, 1) == 1 ? 71 : 72;
}

static pid_t
start_daemon(struct start *s)
{
    pid_t pid;

    assert_int_equal(pipe(s->go), 0);
    assert_int_equal(pipe(s->report), 0);
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        _exit(become_daemon(s));
    assert_true(pid > 0);
    close(s->go[0]);
    close(s->report[1]);
    return pid;
}

static int
finish(struct start *s, pid_t pid, char *seen)
{
    int status;

    close(s->go[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(read(s->report[0], seen, 1), 1);
    close(s->report[0]);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
test_background_waits_until_ready(void **state)
{
    struct start s;
    pid_t pid = start_daemon(&s);
    char seen;

    (void)state;
    usleep(50000);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    assert_int_equal(write(s.go[1], "r", 1), 1);
    assert_int_equal(finish(&s, pid, &seen), 0);
    assert_int_equal(seen, 'n');
}

static void
test_background_fails_when_the_daemon_ends(void **state)
{
    struct start s;
    pid_t pid = start_daemon(&s);
    char seen;

    (void)state;
    assert_int_equal(finish(&s, pid, &seen), DAEMON_EXIT_FAILURE);
    assert_int_equal(seen, '\0');
}

#ifdef HAVE_LIBSYSTEMD
static void
assert_told(int fd, const char *wanted)
{
    char text[200] = "";

    assert_true(recv(fd, text, sizeof text - 1, MSG_DONTWAIT) > 0);
    assert_int_equal(strncmp(text, wanted, strlen(wanted)), 0);
}

static void
test_systemd_is_told(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    snprintf(un.sun_path, sizeof un.sun_path, "/tmp/test_daemon.%ld", (long)getpid());
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    setenv("NOTIFY_SOCKET", un.sun_path, 1);
    daemon_ready();
    daemon_reloading();
    daemon_stopping();
    unsetenv("NOTIFY_SOCKET");
    unlink(un.sun_path);
    assert_told(fd, "READY=1");
    assert_told(fd, "RELOADING=1\nMONOTONIC_USEC=");
    assert_told(fd, "STOPPING=1");
    close(fd);
}

static int
count_sockets(const void *arg)
{
    char pid[30];

    (void)arg;
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    if (dup2(STDIN_FILENO, 3) < 0 || dup2(STDIN_FILENO, 4) < 0)
        return 1;
    return daemon_systemd_sockets() == 2 ? 0 : 2;
}
#endif

static void
test_systemd_sockets(void **state)
{
    (void)state;
    assert_int_equal(daemon_systemd_sockets(), 0);
#ifdef HAVE_LIBSYSTEMD
    assert_int_equal(in_child(count_sockets, NULL), 0);
#endif
}

/* --- the process -------------------------------------------------------------------------- */

static int
prepare(const void *arg)
{
    struct rlimit limit, before;
    struct stat st;

    (void)arg;
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    if (daemon_prepare_process() != before.rlim_max)
        return 1;
    for (int fd = 0; fd < 3; fd++) {
        if (fstat(fd, &st) != 0 || !S_ISCHR(st.st_mode))
            return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur != before.rlim_max)
        return 3;
    if (signal(SIGPIPE, SIG_DFL) != SIG_IGN)
        return 4;
    return umask(0) == 0077 ? 0 : 5;
}

static void
test_prepare_process(void **state)
{
    (void)state;
    assert_int_equal(in_child(prepare, NULL), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_lines),
        cmocka_unit_test(test_file_named_from_here),
        cmocka_unit_test(test_what_is_printed),
        cmocka_unit_test(test_find_user),
        cmocka_unit_test(test_drop_privileges),
        cmocka_unit_test(test_background_waits_until_ready),
        cmocka_unit_test(test_background_fails_when_the_daemon_ends),
#ifdef HAVE_LIBSYSTEMD
        cmocka_unit_test(test_systemd_is_told),
#endif
        cmocka_unit_test(test_systemd_sockets),
        cmocka_unit_test(test_prepare_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
