#include "cached/farm_key.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/regular.h"

enum { SUM_BYTES = FARM_MAC_DIGITS / 2, LINE_SIZE = 256 };

struct farm_key {
    size_t count; /* 0: no secret */
    unsigned char keys[FARM_KEYS_MAX][FARM_KEY_BYTES];
};

/* --- the file --------------------------------------------------------------------------------- */

static int
digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
read_hex(const char *line, unsigned char key[FARM_KEY_BYTES])
{
    for (size_t i = 0; i < FARM_KEY_BYTES; i++) {
        int high = digit_of(line[2 * i]);
        int low = high < 0 ? -1 : digit_of(line[2 * i + 1]);

        if (low < 0)
            return false;
        key[i] = (unsigned char)(high << 4 | low);
    }
    return line[2 * FARM_KEY_BYTES] == '\0';
}

/* NULL when the line is well, else what is wrong with it. */
static const char *
take_line(struct farm_key *k, char *line)
{
    size_t len = strcspn(line, "\n");

    if (line[len] == '\0' && len == LINE_SIZE - 1)
        return "the line is too long";
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    line[len] = '\0';
    if (len == 0 || line[0] == '#')
        return NULL;
    if (k->count == FARM_KEYS_MAX)
        return "more than 8 keys";
    if (!read_hex(line, k->keys[k->count]))
        return "a key is 64 hex digits (openssl rand -hex 32)";
    k->count++;
    return NULL;
}

/* A secret that everybody may read is none. */
static FILE *
open_file(const char *path, char *why, size_t size)
{
    mode_t mode;
    FILE *file = regular_open(path, &mode, why, size);

    if (file == NULL || (mode & 07) == 0)
        return file;
    fclose(file);
    snprintf(why, size, "%s: others may read or change it (chmod o= %s)", path, path);
    return NULL;
}

static bool
read_lines(struct farm_key *k, FILE *file, const char *path, char *why, size_t size)
{
    char line[LINE_SIZE];
    const char *fault = NULL;
    unsigned number = 0;

    while (fault == NULL && fgets(line, sizeof line, file) != NULL) {
        number++;
        fault = take_line(k, line);
    }
    OPENSSL_cleanse(line, sizeof line);
    if (fault != NULL)
        snprintf(why, size, "%s:%u: %s", path, number, fault);
    else if (ferror(file))
        snprintf(why, size, "%s: %s", path, strerror(errno));
    else if (k->count == 0)
        snprintf(why, size, "%s: no key in it (openssl rand -hex 32)", path);
    else
        return true;
    return false;
}

struct farm_key *
farm_key_read(const char *path, char *why, size_t size)
{
    FILE *file = open_file(path, why, size);
    struct farm_key *k;
    bool good;

    if (file == NULL)
        return NULL;
    k = alloc_zero(1, sizeof *k);
    good = read_lines(k, file, path, why, size);
    fclose(file);
    if (good)
        return k;
    farm_key_free(k);
    return NULL;
}

struct farm_key *
farm_key_none(void)
{
    return alloc_zero(1, sizeof(struct farm_key));
}

void
farm_key_free(struct farm_key *k)
{
    if (k == NULL)
        return;
    OPENSSL_cleanse(k, sizeof *k);
    free(k);
}

/* --- signing ---------------------------------------------------------------------------------- */

/* `key` NULL: the plain digest. */
static void
compute(const unsigned char *key, const char *bytes, size_t len, char digits[FARM_MAC_DIGITS])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    bool done = key != NULL ? HMAC(EVP_sha256(), key, FARM_KEY_BYTES, (const unsigned char *)bytes,
                                   len, sum, NULL) != NULL
                            : EVP_Digest(bytes, len, sum, NULL, EVP_sha256(), NULL) == 1;

    if (!done) {
        log_error("OpenSSL cannot compute SHA-256");
        abort(); /* as when memory runs out: nothing could be trusted or kept */
    }
    for (int i = 0; i < SUM_BYTES; i++) {
        digits[2 * i] = hex[sum[i] >> 4];
        digits[2 * i + 1] = hex[sum[i] & 15];
    }
}

void
farm_key_sign(const struct farm_key *k, const char *bytes, size_t len, char mac[FARM_MAC_DIGITS])
{
    compute(k != NULL && k->count > 0 ? k->keys[0] : NULL, bytes, len, mac);
}

bool
farm_key_verify(const struct farm_key *k, const char *bytes, size_t len,
                const char mac[FARM_MAC_DIGITS])
{
    size_t keys = k != NULL ? k->count : 0;
    char wanted[FARM_MAC_DIGITS];
    bool good = false;

    for (size_t i = 0; i < (keys > 0 ? keys : 1); i++) {
        compute(keys > 0 ? k->keys[i] : NULL, bytes, len, wanted);
        good = CRYPTO_memcmp(wanted, mac, FARM_MAC_DIGITS) == 0 || good;
    }
    return good;
}
