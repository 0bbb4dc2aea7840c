/* tls_server - an HTTPS server that behaves exactly as badly as a test wants.
 * A thread that serves one connection after the other on a loopback address. */
#ifndef STS_TESTS_TLS_SERVER_H
#define STS_TESTS_TLS_SERVER_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

enum tls_ending {
    END_CLOSE_NOTIFY, /* as TLS wants it */
    END_BARE_FIN,     /* TCP only */
    END_RESET,
    END_SILENT, /* keeps the connection open and says no more */
    END_DRIP,   /* goes on with a byte every 50 ms */
    /* These end before TLS begins: */
    END_AT_ACCEPT, /* FIN */
    RESET_AT_ACCEPT,
    NO_TLS,           /* request and reply in the clear */
    SILENT_AT_ACCEPT, /* holds every connection until the stop */
};

struct tls_script {
    int version; /* TLS1_1_VERSION ...: only this one; 0: any */
    const char *head;
    const char *repeat; /* sent `times` times behind the head */
    size_t times;
    const char *tail; /* sent last; NULL: nothing */
    enum tls_ending ending;
};

struct tls_seen {
    char request[4096]; /* of the last connection */
    char sni[256];
    size_t connections;
};

/* Listens on `address` ("127.0.0.1", "::1") and `port` (0: any free one). `context` is taken;
 * `script` is borrowed until the stop. */
struct tls_server *tls_server_start(const char *address, uint16_t port, SSL_CTX *context,
                                    const struct tls_script *script);
uint16_t tls_server_port(const struct tls_server *);
/* Connections so far; while it runs. */
size_t tls_server_connections(struct tls_server *);
/* Ends the thread and tells what came; `seen` may be NULL. */
void tls_server_stop(struct tls_server *, struct tls_seen *seen);

#endif
