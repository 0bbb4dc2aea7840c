#include "tests/unit/cached/store_samples.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096 };

static char directory[SAMPLE_PATH / 2];

const char *
sample_directory_make(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(directory, sizeof directory, "%s/sts-store-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(directory));
    return directory;
}

void
sample_directory_remove(void)
{
    DIR *d = opendir(directory);
    char path[SAMPLE_PATH];

    assert_non_null(d);
    for (const struct dirent *file; (file = readdir(d)) != NULL;)
        unlink(sample_path(file->d_name, path));
    closedir(d);
    assert_int_equal(rmdir(directory), 0);
}

const char *
sample_path(const char *name, char path[SAMPLE_PATH])
{
    snprintf(path, SAMPLE_PATH, "%s/%.100s", directory, name);
    return path;
}

bool
sample_exists(const char *name)
{
    char path[SAMPLE_PATH];

    return access(sample_path(name, path), F_OK) == 0;
}

struct store *
sample_open_size(int64_t size)
{
    char why[300] = "";
    struct store *store = store_open(directory, size, why, sizeof why);

    if (store == NULL)
        fail_msg("store_open: %s", why);
    return store;
}

struct store *
sample_open(void)
{
    return sample_open_size(SAMPLE_STORE_SIZE);
}

void
sample_domain(int n, char domain[SAMPLE_DOMAIN_SIZE])
{
    snprintf(domain, SAMPLE_DOMAIN_SIZE, "d%06d.example", n);
}

/* Bodies of 60 to 6,000 bytes: in leaf pages and in pages of their own. */
static struct span
sample_body(int n)
{
    static char body[6000];
    int head = snprintf(body, sizeof body, "version: STSv1\nmode: enforce\nmx: mx%d.example\n", n);

    memset(body + head, 'a' + n % 26, sizeof body - (size_t)head);
    return (struct span){body, n % 50 == 0 ? 6000 : 60 + (size_t)(n % 100)};
}

struct record
sample_record(int n, uint64_t seq)
{
    struct record record = {
        .id = "20260801",
        .seq = seq,
        .fetched_s = 1790000000 + n,
        .refresh_s = 1790040000 + n,
        .asked_day = 20000 + n % 500,
        .body = sample_body(n),
    };

    sample_domain(n, record.domain);
    return record;
}

bool
sample_held(struct store *store, int n, uint64_t *seq)
{
    struct record want = sample_record(n, 0), got;
    struct buf bytes;
    bool held;

    buf_init(&bytes, RECORD_MAX);
    held = store_get(store, want.domain, &bytes, &got);
    if (held) {
        assert_string_equal(got.domain, want.domain);
        assert_int_equal(got.refresh_s, want.refresh_s);
        assert_int_equal(got.body.len, want.body.len);
        assert_memory_equal(got.body.at, want.body.at, want.body.len);
        *seq = got.seq;
    }
    buf_done(&bytes);
    return held;
}

/* What lies between the head and `upper` of a page may be left from its former use. */
static bool
is_leaf_with(const char *page, const char *text)
{
    enum { FLAGS_AT = 10, UPPER_AT = 14, LEAF = 2 };
    uint16_t flags, upper;

    memcpy(&flags, page + FLAGS_AT, sizeof flags);
    memcpy(&upper, page + UPPER_AT, sizeof upper);
    return flags == LEAF && upper < PAGE &&
           memmem(page + upper, PAGE - (size_t)upper, text, strlen(text)) != NULL;
}

void
sample_overwrite_page(const char *name, const char *text)
{
    char path[SAMPLE_PATH], page[PAGE], rubbish[PAGE];
    FILE *f = fopen(sample_path(name, path), "r+b");
    int found = 0;

    assert_non_null(f);
    memset(rubbish, 0xff, PAGE);
    for (long at = 0; fread(page, 1, PAGE, f) == PAGE; at += PAGE) {
        if (is_leaf_with(page, text)) {
            assert_int_equal(fseek(f, at, SEEK_SET), 0);
            assert_int_equal(fwrite(rubbish, 1, PAGE, f), PAGE);
            found++;
        }
        assert_int_equal(fseek(f, at + PAGE, SEEK_SET), 0);
    }
    assert_true(found > 0);
    assert_int_equal(fclose(f), 0);
}

int
sample_in_child(int (*work)(void *arg), void *arg)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0)
        _exit(work(arg));
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}
