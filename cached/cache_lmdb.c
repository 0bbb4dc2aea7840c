#include "cached/cache_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cached/store_db.h"
#include "cached/store_guard.h"
#include "cached/store_rescue.h"
#include "cached/store_writer.h"
#include "common/log.h"

struct store {
    int lock;
    char file[PATH_MAX], suspect[PATH_MAX];
    struct store_db *db;
    struct store_writer *writer;
    uint64_t unsound;
    bool read_failed; /* logged */
};

/* The lock lives as long as the descriptor, so a crash needs no clearing up. */
static bool
lock_directory(struct store *s, const char *directory, char *why, size_t why_size)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/lock", directory);
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (s->lock >= 0 && errno == EWOULDBLOCK)
        snprintf(why, why_size, "another sts-cached runs on %s", directory);
    else
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
    return false;
}

/* Opens the file after store_rescue has seen to it. Should it be found damaged only now (the first
 * look is limited in time), once more after a rescue. */
static bool
open_file(struct store *s, int64_t size, char *why, size_t why_size)
{
    const struct store_files files = {s->file, s->suspect, size};
    enum store_db_status status = STORE_DB_DAMAGED;

    for (int surely = 0; surely <= 1 && status == STORE_DB_DAMAGED; surely++) {
        if (!store_rescue(&files, surely, why, why_size))
            return false;
        store_guard_install(s->suspect);
        status = store_db_open(s->file, size, STORE_DB_SHARED, &s->db, why, why_size);
        if (status != STORE_DB_OK)
            store_guard_remove();
    }
    return status == STORE_DB_OK;
}

struct store *
store_open(const char *directory, int64_t size, char *why, size_t why_size)
{
    struct store *s = alloc_zero(1, sizeof *s);

    s->lock = -1;
    (void)mkdir(directory, 0700); /* what fails here fails below, and is reported there */
    snprintf(s->file, sizeof s->file, "%s/policies.mdb", directory);
    snprintf(s->suspect, sizeof s->suspect, "%s/suspect", directory);
    if (lock_directory(s, directory, why, why_size) && open_file(s, size, why, why_size)) {
        s->writer = store_writer_start(s->db);
        if (s->writer != NULL)
            return s;
        snprintf(why, why_size, "no thread for the store: %s", strerror(errno));
    }
    store_close(s);
    return NULL;
}

void
store_close(struct store *s)
{
    if (s == NULL)
        return;
    store_writer_stop(s->writer);
    if (s->db != NULL) {
        store_db_close(s->db);
        store_guard_remove();
    }
    if (s->lock >= 0)
        close(s->lock);
    free(s);
}

/* A record that was read must be sound and stand where it says. One that is not is deleted. */
static bool
decode(struct store *s, const char *domain, const struct buf *bytes, struct record *record)
{
    if (!buf_failed(bytes) && record_decode(buf_string(bytes), bytes->len, NULL, record) &&
        record->kind == RECORD_POLICY && strcmp(record->domain, domain) == 0)
        return true;
    s->unsound++;
    log_warning("store: the record of domain=%s is damaged and was deleted", domain);
    store_writer_mend(s->writer, domain, NULL);
    return false;
}

static void
note_read_failure(struct store *s, enum store_db_status status)
{
    if (status == STORE_DB_MISSING || s->read_failed)
        return;
    s->read_failed = true;
    log_error("the store %s cannot be read; restart to have it mended", s->file);
}

/* True when a change of the domain is queued; `*found`: it leaves a record. */
static bool
find_queued(struct store *s, const char *domain, struct buf *bytes, struct record *record,
            bool *found)
{
    enum store_queued queued = store_writer_find(s->writer, domain, bytes);

    *found =
        queued == STORE_QUEUED_PUT && record_decode(buf_string(bytes), bytes->len, NULL, record);
    return queued != STORE_QUEUED_NOTHING;
}

bool
store_get(struct store *s, const char *domain, struct buf *bytes, struct record *record)
{
    enum store_db_status status;
    bool found;

    if (find_queued(s, domain, bytes, record, &found))
        return found;
    status = store_db_get(s->db, domain, bytes);
    if (status == STORE_DB_OK)
        return decode(s, domain, bytes, record);
    note_read_failure(s, status);
    return false;
}

void
store_put(struct store *s, const struct record *record)
{
    store_writer_put(s->writer, record);
}

void
store_delete(struct store *s, const char *domain)
{
    store_writer_delete(s->writer, domain);
}

void
store_flush(struct store *s)
{
    store_writer_flush(s->writer);
}

/* True when the index line tells the truth. Damage may have left lines that do not: they are
 * removed, or they would come first for ever. */
static bool
is_due(struct store *s, const struct store_db_place *line, int64_t now_s, struct buf *bytes)
{
    struct record record;
    bool queued = store_writer_find(s->writer, line->domain, bytes) != STORE_QUEUED_NOTHING;
    bool found = store_get(s, line->domain, bytes, &record);

    if (queued || (found && record.refresh_s == line->number))
        return found && record.refresh_s <= now_s;
    store_writer_mend(s->writer, line->domain, found ? &record : NULL);
    return false;
}

size_t
store_due(struct store *s, int64_t now_s, size_t max, void (*each)(const char *domain, void *arg),
          void *arg)
{
    struct store_db_place place = {0};
    enum store_db_status status = STORE_DB_MISSING;
    struct buf bytes;
    size_t count = 0;

    buf_init(&bytes, RECORD_MAX);
    while (count < max &&
           (status = store_db_index_next(s->db, STORE_DB_DUE, &place)) == STORE_DB_OK &&
           place.number <= now_s) {
        if (!is_due(s, &place, now_s, &bytes))
            continue;
        count++;
        each(place.domain, arg);
    }
    if (status != STORE_DB_OK)
        note_read_failure(s, status);
    buf_done(&bytes);
    return count;
}

/* What is queued for the domain is newer than what was read from the file. */
static bool
decode_newest(struct store *s, const char *domain, struct buf *bytes, struct record *record)
{
    bool found;

    return find_queued(s, domain, bytes, record, &found) ? found : decode(s, domain, bytes, record);
}

void
store_walk(struct store *s, const char *after, bool (*each)(const struct record *, void *arg),
           void *arg)
{
    char domain[DOMAIN_SIZE] = "";
    enum store_db_status status;
    struct record record;
    struct buf bytes;

    if (after != NULL)
        snprintf(domain, sizeof domain, "%s", after);
    buf_init(&bytes, RECORD_MAX);
    while ((status = store_db_next(s->db, domain, &bytes)) == STORE_DB_OK) {
        if (decode_newest(s, domain, &bytes, &record) && !each(&record, arg))
            break;
    }
    if (status != STORE_DB_OK)
        note_read_failure(s, status);
    buf_done(&bytes);
}

void
store_stats(struct store *s, struct store_stats *stats)
{
    struct store_writer_counts counts = store_writer_counts(s->writer);
    struct store_db_usage usage;

    store_db_usage(s->db, &usage);
    *stats = (struct store_stats){
        .policies = usage.policies,
        .bytes_used = usage.bytes_used,
        .bytes_max = usage.bytes_max,
        .written = counts.written,
        .evicted = counts.evicted,
        .unsound = s->unsound,
        .write_errors = counts.errors,
    };
}
