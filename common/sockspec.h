/* sockspec - socket specifications as milter users know them, and sockets made from them:
 * unix:/path (also local:/path or /path), inet:port@host, inet6:port@host. */
#ifndef STS_COMMON_SOCKSPEC_H
#define STS_COMMON_SOCKSPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct sockspec {
    struct sockaddr_storage addr;
    socklen_t len;
};

/* Parses a specification; `host` must be an address (or "localhost"): no look-up is made.
 * False: `why` (size bytes) names the fault. */
bool sockspec_parse(const char *spec, struct sockspec *out, char *why, size_t size);
bool sockspec_is_unix(const struct sockspec *);
/* True for unix sockets, 127.0.0.0/8 and ::1. */
bool sockspec_is_local(const struct sockspec *);
const char *sockspec_path(const struct sockspec *); /* unix only */
/* Room for any specification with its NUL. */
enum { SOCKSPEC_SIZE = 128 };
/* Writes it as sockspec_parse reads it: "unix:/path", "inet:25@192.0.2.1", "inet6:25@::1". */
void sockspec_format(const struct sockspec *, char out[SOCKSPEC_SIZE]);
/* The address without the port, and the port; not for unix. */
void sockspec_host(const struct sockspec *, char out[SOCKSPEC_SIZE]);
unsigned sockspec_port(const struct sockspec *);
/* Bound there, a socket is found at every address of this host: 0.0.0.0 or ::. */
bool sockspec_is_anywhere(const struct sockspec *);

/* Binds and listens, close-on-exec and non-blocking. For unix: the folder is made with mode 0755 if
 * it is not there (what is below /run vanishes with each boot); a stale socket file (nobody
 * answers) is removed, a live one or anything that is no socket is left alone and refused; then
 * mode and group are set ((gid_t)-1: as is). Changes the umask for a moment: not beside other
 * threads. Returns the descriptor, or -1 and `why`, which does not name the socket. */
int sockspec_listen(const struct sockspec *, mode_t mode, gid_t group, char *why, size_t size);

/* For a TCP connection, or a listening socket, whose later connections inherit it: that the peer
 * has gone without a word is found out within two minutes. Does nothing on unix. A minute of
 * asking, so that a cable out for seconds costs nobody his connection. */
enum {
    SOCKSPEC_ALIVE_IDLE_S = 60, /* before the peer is asked; the kernel's default is two hours */
    SOCKSPEC_ALIVE_INTERVAL_S = 10,
    SOCKSPEC_ALIVE_TRIES = 6
};
void sockspec_keep_alive(int fd);

/* Starts a non-blocking connect. Returns the descriptor (connected or in progress), or -1 and
 * errno. */
int sockspec_connect(const struct sockspec *);

/* The group named or numbered by `name`; false when there is none. */
bool sockspec_group(const char *name, gid_t *out);

#endif
