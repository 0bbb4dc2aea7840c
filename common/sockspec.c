#include "common/sockspec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/scan.h"

enum { PORT_DIGITS = 5, PORT_MAX = 65535, HOST_SIZE = 64 };

/* --- reading ------------------------------------------------------------------ */

static bool
parse_unix(const char *path, struct sockspec *out, char *why, size_t size)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);

    if (path[0] != '/') {
        snprintf(why, size, "the path of a unix socket must begin with /");
        return false;
    }
    if (len >= sizeof un.sun_path) {
        snprintf(why, size, "the path of the unix socket has %zu bytes, at most %zu are possible",
                 len, sizeof un.sun_path - 1);
        return false;
    }
    memcpy(un.sun_path, path, len + 1);
    memcpy(&out->addr, &un, sizeof un);
    out->len = sizeof un;
    return true;
}

/* Takes "localhost", an address, or "[address]" into `host`. */
static bool
copy_host(const char *text, const char *localhost, char host[HOST_SIZE])
{
    size_t len = strlen(text);

    if (strcmp(text, "localhost") == 0) {
        text = localhost;
        len = strlen(text);
    } else if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= HOST_SIZE)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    return true;
}

static bool
set_inet(const char *text, uint16_t port, struct sockspec *out)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    char host[HOST_SIZE];

    if (text[0] == '[' || !copy_host(text, "127.0.0.1", host) ||
        inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return false;
    memcpy(&out->addr, &in, sizeof in);
    out->len = sizeof in;
    return true;
}

static bool
set_inet6(const char *text, uint16_t port, struct sockspec *out)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    char host[HOST_SIZE];

    if (!copy_host(text, "::1", host) || inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
        return false;
    memcpy(&out->addr, &in6, sizeof in6);
    out->len = sizeof in6;
    return true;
}

/* `text` is "port@host". */
static bool
parse_inet(const char *text, bool six, struct sockspec *out, char *why, size_t size)
{
    struct scan rest = scan_bytes(text, strlen(text));
    uint64_t port;

    if (!scan_number(&rest, PORT_DIGITS, &port) || port > PORT_MAX) {
        snprintf(why, size, "the port must be a number from 0 to %d", PORT_MAX);
        return false;
    }
    if (!scan_char(&rest, '@')) {
        snprintf(why, size, "the port must be followed by @ADDRESS");
        return false;
    }
    if (!(six ? set_inet6 : set_inet)(rest.at, (uint16_t)port, out)) {
        snprintf(why, size, "\"%.80s\" is no IPv%c address (host names are not looked up)", rest.at,
                 six ? '6' : '4');
        return false;
    }
    return true;
}

/* True when `text` begins with the prefix; `*rest` is what stands behind it. */
static bool
begins(const char *text, const char *prefix, const char **rest)
{
    size_t len = strlen(prefix);
    bool found = strncmp(text, prefix, len) == 0;

    *rest = found ? text + len : "";
    return found;
}

bool
sockspec_parse(const char *spec, struct sockspec *out, char *why, size_t size)
{
    const char *rest;

    memset(out, 0, sizeof *out);
    if (begins(spec, "unix:", &rest) || begins(spec, "local:", &rest))
        return parse_unix(rest, out, why, size);
    if (spec[0] == '/')
        return parse_unix(spec, out, why, size);
    if (begins(spec, "inet:", &rest))
        return parse_inet(rest, false, out, why, size);
    if (begins(spec, "inet6:", &rest))
        return parse_inet(rest, true, out, why, size);
    snprintf(why, size, "a socket is unix:/PATH, inet:PORT@ADDRESS or inet6:PORT@ADDRESS");
    return false;
}

bool
sockspec_is_unix(const struct sockspec *spec)
{
    return spec->addr.ss_family == AF_UNIX;
}

bool
sockspec_is_local(const struct sockspec *spec)
{
    if (spec->addr.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &spec->addr, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (spec->addr.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &spec->addr, sizeof in6);
        return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
    }
    return sockspec_is_unix(spec);
}

const char *
sockspec_path(const struct sockspec *spec)
{
    return ((const struct sockaddr_un *)(const void *)&spec->addr)->sun_path;
}

static struct sockaddr_in
inet_of(const struct sockspec *spec)
{
    struct sockaddr_in in;

    memcpy(&in, &spec->addr, sizeof in);
    return in;
}

static struct sockaddr_in6
inet6_of(const struct sockspec *spec)
{
    struct sockaddr_in6 in6;

    memcpy(&in6, &spec->addr, sizeof in6);
    return in6;
}

void
sockspec_host(const struct sockspec *spec, char out[SOCKSPEC_SIZE])
{
    struct sockaddr_in in = inet_of(spec);
    struct sockaddr_in6 in6 = inet6_of(spec);
    bool six = spec->addr.ss_family == AF_INET6;

    if (inet_ntop(spec->addr.ss_family, six ? (void *)&in6.sin6_addr : (void *)&in.sin_addr, out,
                  SOCKSPEC_SIZE) == NULL)
        out[0] = '\0';
}

unsigned
sockspec_port(const struct sockspec *spec)
{
    return ntohs(spec->addr.ss_family == AF_INET6 ? inet6_of(spec).sin6_port
                                                  : inet_of(spec).sin_port);
}

bool
sockspec_is_anywhere(const struct sockspec *spec)
{
    struct sockaddr_in6 in6 = inet6_of(spec);

    if (spec->addr.ss_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr);
    return spec->addr.ss_family == AF_INET && inet_of(spec).sin_addr.s_addr == htonl(INADDR_ANY);
}

void
sockspec_format(const struct sockspec *spec, char out[SOCKSPEC_SIZE])
{
    char host[SOCKSPEC_SIZE];

    if (sockspec_is_unix(spec)) {
        snprintf(out, SOCKSPEC_SIZE, "unix:%s", sockspec_path(spec));
        return;
    }
    sockspec_host(spec, host);
    snprintf(out, SOCKSPEC_SIZE, "%s:%u@%.64s", spec->addr.ss_family == AF_INET6 ? "inet6" : "inet",
             sockspec_port(spec), host);
}

bool
sockspec_group(const char *name, gid_t *out)
{
    struct scan rest = scan_bytes(name, strlen(name));
    const struct group *group = getgrnam(name);
    uint64_t number;

    if (group != NULL) {
        *out = group->gr_gid;
        return true;
    }
    /* (gid_t)-1 means "no group" to chown(). */
    if (!scan_number(&rest, 10, &number) || !scan_is_done(&rest) || number >= UINT32_MAX)
        return false;
    *out = (gid_t)number;
    return true;
}

/* --- sockets ------------------------------------------------------------------ */

static const struct sockaddr *
address(const struct sockspec *spec)
{
    return (const struct sockaddr *)&spec->addr;
}

static int
new_socket(const struct sockspec *spec)
{
    return socket(spec->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int
sockspec_connect(const struct sockspec *spec)
{
    int fd = new_socket(spec), on = 1, error;

    if (fd < 0)
        return -1;
    if (!sockspec_is_unix(spec))
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, address(spec), spec->len) == 0 || errno == EINPROGRESS)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Only the last folder of the path. */
static bool
make_folder(const struct sockspec *spec, char *why, size_t size)
{
    const char *path = sockspec_path(spec), *slash = strrchr(path, '/');
    char folder[sizeof(struct sockaddr_un)];
    mode_t old;

    int error = 0;

    if (slash == path)
        return true;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    old = umask(022);
    if (mkdir(folder, 0755) != 0)
        error = errno;
    umask(old);
    if (error == 0 || access(folder, F_OK) == 0)
        return true; /* whatever else is wrong with it, bind will name */
    snprintf(why, size, "cannot make %s: %s", folder, strerror(error));
    return false;
}

/* Removes a socket file that nobody answers on, so that bind can make a new one. */
static bool
remove_stale(const struct sockspec *spec, char *why, size_t size)
{
    const char *path = sockspec_path(spec);
    struct stat st;
    int fd;

    if (lstat(path, &st) != 0)
        return true; /* nothing there; any other trouble bind will name */
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(why, size, "%s exists and is no socket", path);
        return false;
    }
    fd = sockspec_connect(spec);
    if (fd >= 0 || errno == EAGAIN) {
        snprintf(why, size, "%s is in use by a running program", path);
        if (fd >= 0)
            close(fd);
        return false;
    }
    if (errno != ECONNREFUSED) {
        snprintf(why, size, "cannot tell whether %s is in use: %s", path, strerror(errno));
        return false;
    }
    if (unlink(path) != 0) {
        snprintf(why, size, "cannot remove the old socket %s: %s", path, strerror(errno));
        return false;
    }
    return true;
}

/* The steps after socket(): NULL, or the one that failed with its errno. */
static const char *
listen_unix(int fd, const struct sockspec *spec, mode_t mode, gid_t group)
{
    const char *path = sockspec_path(spec), *failed = NULL;
    int error;

    if (bind(fd, address(spec), spec->len) != 0)
        return "bind";
    /* Until listen() nobody can connect, whatever mode bind() gave it: there is no gap. */
    if (group != (gid_t)-1 && lchown(path, (uid_t)-1, group) != 0)
        failed = "set the group";
    else if (chmod(path, mode) != 0)
        failed = "set the mode";
    else if (listen(fd, SOMAXCONN) != 0)
        failed = "listen";
    if (failed != NULL) {
        error = errno;
        unlink(path);
        errno = error;
    }
    return failed;
}

static const char *
listen_inet(int fd, const struct sockspec *spec)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return "set SO_REUSEADDR";
    /* Else "inet6:PORT@::" would also take the port of an inet socket beside it. */
    if (spec->addr.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
        return "set IPV6_V6ONLY";
    if (bind(fd, address(spec), spec->len) != 0)
        return "bind";
    return listen(fd, SOMAXCONN) != 0 ? "listen" : NULL;
}

int
sockspec_listen(const struct sockspec *spec, mode_t mode, gid_t group, char *why, size_t size)
{
    bool is_unix = sockspec_is_unix(spec);
    const char *failed = "open a socket";
    int fd;

    if (is_unix && (!make_folder(spec, why, size) || !remove_stale(spec, why, size)))
        return -1;
    fd = new_socket(spec);
    if (fd >= 0)
        failed = is_unix ? listen_unix(fd, spec, mode, group) : listen_inet(fd, spec);
    if (failed == NULL)
        return fd;
    snprintf(why, size, "cannot %s: %s", failed, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

void
sockspec_keep_alive(int fd)
{
    const int on = 1, idle = SOCKSPEC_ALIVE_IDLE_S, interval = SOCKSPEC_ALIVE_INTERVAL_S,
              tries = SOCKSPEC_ALIVE_TRIES;

    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) != 0)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof tries);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}
