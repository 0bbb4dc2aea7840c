/* smtp_server - an MX host that behaves exactly as badly as a test wants.
 * A thread that serves one session after the other on a loopback address and remembers what the
 * last one was told. */
#ifndef STS_TESTS_SMTP_SERVER_H
#define STS_TESTS_SMTP_SERVER_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

/* In place of a reply: says nothing until the peer goes away or the stop; ends the connection. */
#define SMTP_HANG "hang"
#define SMTP_CUT "cut"
#define SMTP_RESET "reset"

/* What it says; NULL: what a good host says. */
struct smtp_script {
    const char *greeting, *ehlo, *starttls;
    const char *handshake; /* SMTP_HANG ..., or these bytes instead of TLS */
    const char *ehlo_in_tls, *quit;
    const char *flood; /* sent `times` times before the greeting */
    size_t times;
    int version; /* TLS1_1_VERSION ...: only this one; 0: any */
};

struct smtp_seen {
    char commands[512]; /* of the last session: "EHLO a|STARTTLS|[TLS]|EHLO a|QUIT|" */
    char sni[256];
    size_t connections;
};

/* Listens on `address` and `port` (0: any free one). `context` is taken; `script` is borrowed until
 * the stop. */
struct smtp_server *smtp_server_start(const char *address, uint16_t port, SSL_CTX *context,
                                      const struct smtp_script *script);
uint16_t smtp_server_port(const struct smtp_server *);
/* Connections so far; while it runs. */
size_t smtp_server_connections(struct smtp_server *);
/* Ends the thread and tells what came; `seen` may be NULL. */
void smtp_server_stop(struct smtp_server *, struct smtp_seen *seen);

#endif
