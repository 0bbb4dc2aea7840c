/* tls_listener - the thread and the socket of a server in a test: accepts one connection after the
 * other on a loopback address and hands each to what serves it, until the stop. */
#ifndef STS_TESTS_TLS_LISTENER_H
#define STS_TESTS_TLS_LISTENER_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A member of its server. Its calls give up after 5 s without a byte. */
struct tls_listener {
    SSL_CTX *context;
    int fd, stop_fd;
    uint16_t port;
    pthread_t thread;
    _Atomic size_t connections; /* so far */
    void (*serve)(void *server, int fd);
    void *server;
};

/* Listens on `address` ("127.0.0.1", "::1") and `port` (0: any free one). `context` is taken, and
 * speaks only `version` of TLS (0: any). `serve` runs in the thread, closes the connection, and
 * waits by tls_listener_wait alone. */
void tls_listener_start(struct tls_listener *, const char *address, uint16_t port, SSL_CTX *context,
                        int version, void (*serve)(void *server, int fd), void *server);
/* Waits until `fd` (-1: nothing) can be read; false when the server is to stop or time is up. */
bool tls_listener_wait(struct tls_listener *, int fd, int timeout_ms);
bool tls_listener_is_stopped(struct tls_listener *);
/* Ends the thread. */
void tls_listener_stop(struct tls_listener *);

#endif
