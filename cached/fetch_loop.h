/* fetch_loop - libcurl's multi interface on a libevent loop: runs transfers, tells when they end.
 * Shared by whatever speaks through curl; internal to those files, so curl's types may stand here.
 */
#ifndef STS_CACHED_FETCH_LOOP_H
#define STS_CACHED_FETCH_LOOP_H

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/alloc.h"

struct event_base;
struct fetch_loop;

/* One running transfer; a member of its owner. */
struct fetch_loop_item {
    CURL *easy; /* owned by the owner; its CURLOPT_PRIVATE is taken by this module */
    void (*done)(struct fetch_loop_item *, CURLcode); /* from the loop; already removed then */
};

MUST_CHECK struct fetch_loop *fetch_loop_new(struct event_base *);
/* All items must have been removed. Not from within an item's callback. */
void fetch_loop_free(struct fetch_loop *);

/* Starts `item`; `done` comes once, later, unless fetch_loop_remove came first. */
void fetch_loop_add(struct fetch_loop *, struct fetch_loop_item *);
void fetch_loop_remove(struct fetch_loop *, struct fetch_loop_item *);

/* What CURLOPT_CONNECT_TO is given so that curl goes to `address` (NULL: wherever its proxy finds
 * the name) and `port`: the URL, SNI and the certificate check keep the name, and curl never asks a
 * resolver. The owner frees it. */
struct curl_slist *fetch_loop_target(const struct sockaddr_storage *, uint16_t port);
/* The address alone, for people. */
void fetch_loop_address(const struct sockaddr_storage *, char out[INET6_ADDRSTRLEN]);
/* Why nothing may connect there, for people. */
void fetch_loop_describe_blocked(const struct sockaddr_storage *, char *out, size_t size);

#endif
