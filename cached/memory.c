#include "cached/memory.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "common/alloc.h"

static void *
crypto_take(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return size > 0 ? alloc_bytes(size) : NULL;
}

static void *
crypto_resize(void *old, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    if (size > 0)
        return alloc_resize(old, size);
    free(old);
    return NULL;
}

static void
crypto_free(void *old, const char *file, int line)
{
    (void)file, (void)line;
    free(old);
}

void
memory_prepare(void)
{
    if (!CRYPTO_set_mem_functions(crypto_take, crypto_resize, crypto_free) ||
        curl_global_init_mem(CURL_GLOBAL_DEFAULT, alloc_bytes, free, alloc_resize, alloc_string,
                             alloc_zero) != CURLE_OK)
        abort();
    event_set_mem_functions(alloc_bytes, alloc_resize, free);
    json_set_alloc_funcs(alloc_bytes, free);
}
