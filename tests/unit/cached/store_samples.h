/* store_samples - a directory and records to try the store with. */
#ifndef STS_TESTS_UNIT_CACHED_STORE_SAMPLES_H
#define STS_TESTS_UNIT_CACHED_STORE_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cached/cache_lmdb.h"

enum { SAMPLE_STORE_SIZE = 16 << 20, SAMPLE_PATH = 256, SAMPLE_DOMAIN_SIZE = 24 };

/* A new empty directory; its path is good until the next call. Removed by sample_directory_remove.
 */
const char *sample_directory_make(void);
void sample_directory_remove(void);
/* The path of a file in it, in `path`. */
const char *sample_path(const char *name, char path[SAMPLE_PATH]);
bool sample_exists(const char *name);

/* Opens the store in it, or fails the test. */
struct store *sample_open(void);
struct store *sample_open_size(int64_t size);

/* The record number `n`: the same domain, times and body each time, with this seq. */
struct record sample_record(int n, uint64_t seq);
void sample_domain(int n, char domain[SAMPLE_DOMAIN_SIZE]);
/* True when the store holds number `n`, and holds it right; `*seq` is its seq. */
bool sample_held(struct store *, int n, uint64_t *seq);

/* Overwrites each page of the file with this text on it that holds small records or index lines. */
void sample_overwrite_page(const char *name, const char *text);

/* Runs `work` in a child and returns its wait status. */
int sample_in_child(int (*work)(void *arg), void *arg);

#endif
