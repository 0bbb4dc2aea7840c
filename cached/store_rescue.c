#include "cached/store_rescue.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cached/store_db.h"
#include "cached/store_queue.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    CHECK_LIMIT_MS = 2000, /* then what was seen must do: mail waits for us to start */
    LOOK_S = 10,           /* for the first look, which keeps its own limit on a sound file */
    STALL_S = 3,           /* a child that comes to no record for so long runs in circles */
    STALLS_MAX = 3,        /* in one pass; the next one may go round the place */
    BATCH = 16,            /* what a crash may cost one pass, for another to find */
    DEATHS_MAX = 1000,     /* 1-2 ms each; a record on a broken page costs one */
    KEPT_MAX = 10,
    FRUITLESS_LIMIT_MS = 10000, /* so long without a record saved, and a source is given up */
    LIMIT_MS = 120000           /* after which no child is begun; one that saves may go on */
};

/* The ways to the records, each round what blocked the one before. Reading the file past LMDB for
 * anything that looks like a record would find more, but policy bodies are written by strangers:
 * one could hold a record of another domain with a right sum. */
enum pass { PASS_FORWARD, PASS_BACKWARD, PASS_USED, PASS_DUE, PASS_END };

/* Lies in memory shared with the children: what one learnt survives its death. */
struct progress {
    enum pass pass;
    char forward[DOMAIN_SIZE], backward[DOMAIN_SIZE]; /* last domains come to */
    struct store_db_place place;                      /* last line come to in an index */
    int stalls;              /* children of this pass that ran in circles */
    uint64_t saved, claimed; /* the latter by the source's own count, once it could be opened */
    bool complete;           /* the first pass came to the end */
    char why[256];
};

struct rescue {
    const struct store_files *files;
    int64_t end_ms;        /* of LIMIT_MS */
    const char *source;    /* what is copied from: the file, or `headed` */
    char headed[PATH_MAX]; /* the file with one head alone */
    char trial[PATH_MAX];  /* a new file while it is filled */
    char fresh[PATH_MAX];  /* the best of them */
    struct progress *progress;
    /* the child's own */
    struct store_db *from, *to;
    unsigned batched;
};

/* The new file is sound: it needs no more memory than there should be. The former file stays. */
static enum store_db_status
written(enum store_db_status status)
{
    if (status == STORE_DB_NO_MEMORY)
        alloc_fail();
    return status;
}

static enum store_db_status
commit(struct rescue *r)
{
    enum store_db_status status = STORE_DB_OK;

    if (r->batched > 0)
        status = written(store_db_commit(r->to));
    if (status == STORE_DB_OK)
        r->progress->saved += r->batched;
    r->batched = 0;
    return status;
}

/* Saves the record if it is sound and not saved yet. */
static enum store_db_status
save(struct rescue *r, const char *domain, const struct buf *bytes)
{
    enum store_db_status status = STORE_DB_OK;
    struct record record;
    struct buf known;

    alarm(STALL_S);
    if (!record_decode(buf_string(bytes), bytes->len, NULL, &record) ||
        record.kind != RECORD_POLICY || strcmp(record.domain, domain) != 0)
        return STORE_DB_OK;
    buf_init(&known, RECORD_MAX);
    if (r->progress->pass != PASS_FORWARD)
        status = store_db_get(r->to, domain, &known);
    else
        status = STORE_DB_MISSING;
    buf_done(&known);
    if (status != STORE_DB_MISSING)
        return status;
    status = r->batched == 0 ? written(store_db_begin(r->to)) : STORE_DB_OK;
    if (status == STORE_DB_OK)
        status = written(store_db_put(r->to, &record, bytes->data, bytes->len));
    if (status != STORE_DB_OK) {
        store_db_abort(r->to);
        r->batched = 0;
        return status;
    }
    return ++r->batched < BATCH ? STORE_DB_OK : commit(r);
}

/* The three below return true when the end was reached without trouble. */
static bool
save_forward(struct rescue *r, struct buf *bytes)
{
    enum store_db_status status;

    while ((status = store_db_next(r->from, r->progress->forward, bytes)) == STORE_DB_OK) {
        if (save(r, r->progress->forward, bytes) != STORE_DB_OK)
            return false;
    }
    return status == STORE_DB_MISSING;
}

static bool
save_backward(struct rescue *r, struct buf *bytes)
{
    struct progress *p = r->progress;

    while (store_db_previous(r->from, p->backward, bytes) == STORE_DB_OK) {
        if (strcmp(p->backward, p->forward) <= 0)
            return true;
        if (save(r, p->backward, bytes) != STORE_DB_OK)
            return false;
    }
    return false;
}

static bool
save_by_index(struct rescue *r, enum store_db_index index, struct buf *bytes)
{
    struct store_db_place *place = &r->progress->place;

    while (store_db_index_next(r->from, index, place) == STORE_DB_OK) {
        alarm(STALL_S);
        if (store_db_get(r->from, place->domain, bytes) == STORE_DB_OK &&
            save(r, place->domain, bytes) != STORE_DB_OK)
            return false;
    }
    return false;
}

/* Nothing is left to do once one way led through all records. */
static bool
run_pass(struct rescue *r, struct buf *bytes)
{
    switch (r->progress->pass) {
    case PASS_FORWARD:
        return save_forward(r, bytes);
    case PASS_BACKWARD:
        (void)save_backward(r, bytes); /* its end is not all: between the two ways lies a gap */
        return false;
    case PASS_USED:
        return save_by_index(r, STORE_DB_USED, bytes);
    case PASS_DUE:
        return save_by_index(r, STORE_DB_DUE, bytes);
    case PASS_END:
        break;
    }
    return true;
}

static void
start_pass(struct progress *p, enum pass pass)
{
    p->pass = pass;
    p->stalls = 0;
    p->place = (struct store_db_place){0};
}

static enum store_db_status
save_all(struct rescue *r)
{
    struct progress *p = r->progress;
    uint64_t claimed;
    struct buf bytes;
    enum store_db_status status =
        store_db_open(r->source, r->files->size, STORE_DB_LOOK, &r->from, p->why, sizeof p->why);

    if (status != STORE_DB_OK)
        return status;
    status =
        store_db_open(r->trial, r->files->size, STORE_DB_REPAIR, &r->to, p->why, sizeof p->why);
    if (status != STORE_DB_OK)
        return STORE_DB_FAILED;
    if (store_db_count(r->from, &claimed) == STORE_DB_OK)
        p->claimed = claimed;
    buf_init(&bytes, RECORD_MAX);
    while (p->pass != PASS_END) {
        bool complete = run_pass(r, &bytes), full = commit(r) != STORE_DB_OK; /* or the disk is */

        p->complete = complete && !full;
        start_pass(p, complete || full ? PASS_END : p->pass + 1);
    }
    return STORE_DB_OK;
}

static enum store_db_status
look(struct rescue *r)
{
    struct progress *p = r->progress;
    enum store_db_status status = store_db_open(r->files->store, r->files->size, STORE_DB_LOOK,
                                                &r->from, p->why, sizeof p->why);

    if (status == STORE_DB_OK && !store_db_check(r->from, CHECK_LIMIT_MS))
        status = STORE_DB_DAMAGED;
    if (status == STORE_DB_MISSING && store_db_was_written(r->files->store))
        status = STORE_DB_DAMAGED;
    return status;
}

/* Runs `work` in a child, which dies after `patience_s` unless it sets its alarm anew. Its status,
 * or STORE_DB_DAMAGED when it died. */
static enum store_db_status
run_child(struct rescue *r, unsigned patience_s, enum store_db_status (*work)(struct rescue *))
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGALRM};
    const struct rlimit no_core = {0, 0};
    pid_t child = fork();
    int status;

    if (child < 0) {
        snprintf(r->progress->why, sizeof r->progress->why, "fork: %s", strerror(errno));
        return STORE_DB_FAILED;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setrlimit(RLIMIT_CORE, &no_core);
        for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
            signal(deadly[i], SIG_DFL);
        alarm(patience_s);
        _exit((int)work(r)); /* the kernel closes what is open */
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        r->progress->stalls++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == ALLOC_EXIT) {
        snprintf(r->progress->why, sizeof r->progress->why, "%s: %s", r->files->store,
                 strerror(ENOMEM));
        return STORE_DB_FAILED;
    }
    return WIFEXITED(status) ? (enum store_db_status)WEXITSTATUS(status) : STORE_DB_DAMAGED;
}

/* True when the place in the index moved since `before`: the next child may go on behind it. */
static bool
has_moved(const struct progress *before, const struct progress *now)
{
    return before->pass == now->pass && now->pass >= PASS_USED &&
           (before->place.number != now->place.number ||
            strcmp(before->place.domain, now->place.domain) != 0);
}

static bool
may_go_on(const struct rescue *r, int64_t fruit_ms)
{
    int64_t now_ms = clock_boot_ms();

    return now_ms < r->end_ms && now_ms - fruit_ms < FRUITLESS_LIMIT_MS;
}

/* Copies what is sound in `source` to r->trial, with as many children as it takes. */
static enum store_db_status
copy_sound(struct rescue *r, const char *source)
{
    struct progress *p = r->progress;
    int64_t fruit_ms = clock_boot_ms(); /* when something was last saved */

    r->source = source;
    *p = (struct progress){.claimed = UINT64_MAX};
    unlink(r->trial);
    for (int deaths = 0; p->pass != PASS_END && deaths < DEATHS_MAX && may_go_on(r, fruit_ms);
         deaths++) {
        struct progress before = *p;
        enum store_db_status status = run_child(r, STALL_S, save_all);

        if (status == STORE_DB_NEWER || status == STORE_DB_FAILED)
            return status;
        if (p->saved > before.saved)
            fruit_ms = clock_boot_ms();
        if (p->pass != PASS_END && (!has_moved(&before, p) || p->stalls >= STALLS_MAX))
            start_pass(p, p->pass + 1);
    }
    return STORE_DB_OK;
}

/* What the best source so far gave; all zero: nothing. */
struct result {
    uint64_t saved, lost;
    uint64_t bearable; /* of the lost: so many are no reason to go back */
};

/* The other head is a commit older: it undoes up to STORE_BATCH_MAX changes, a forced flush and the
 * renewal of a policy among them. That is worth as many records, in a small store an eighth. */
static struct result
result_of(const struct progress *p)
{
    uint64_t eighth = p->claimed / 8;

    return (struct result){
        .saved = p->saved,
        .lost = p->claimed > p->saved ? p->claimed - p->saved : 0,
        .bearable = eighth < STORE_BATCH_MAX ? eighth : STORE_BATCH_MAX,
    };
}

/* Each source by its own count: what the last commit removed is no loss. */
static bool
is_better(const struct result *now, const struct result *best)
{
    if (best->saved == 0 || now->saved == 0)
        return now->saved > 0;
    return best->lost > best->bearable && best->lost - best->bearable > now->lost;
}

/* Makes r->trial the best if it is. */
static enum store_db_status
take_better(struct rescue *r, struct result *best)
{
    struct progress *p = r->progress;
    struct result now = result_of(p);

    if (!is_better(&now, best))
        return STORE_DB_OK;
    if (rename(r->trial, r->fresh) != 0) {
        snprintf(p->why, sizeof p->why, "%s.new: %s", r->files->store, strerror(errno));
        return STORE_DB_FAILED;
    }
    *best = now;
    return STORE_DB_OK;
}

/* A damaged head hides all records, or leads to old pages: then the other is tried. When that
 * cannot be done, what there is must do. */
static enum store_db_status
copy_best(struct rescue *r, struct result *best)
{
    enum store_db_status status = copy_sound(r, r->files->store);

    if (status == STORE_DB_OK)
        status = take_better(r, best);
    if (status != STORE_DB_OK || r->progress->complete ||
        (best->saved > 0 && best->lost <= best->bearable) ||
        !store_db_copy_other_head(r->files->store, r->headed))
        return status;
    status = copy_sound(r, r->headed);
    if (status == STORE_DB_OK)
        status = take_better(r, best);
    return best->saved > 0 ? STORE_DB_OK : status;
}

/* Keeps the damaged file under a free name, which is written to `kept`. */
static bool
keep_old(const char *store, char *kept, size_t size)
{
    snprintf(kept, size, "%s.damaged", store);
    for (int i = 1; i < KEPT_MAX && access(kept, F_OK) == 0; i++)
        snprintf(kept, size, "%s.damaged.%d", store, i);
    unlink(kept);
    if (link(store, kept) == 0)
        return true;
    return rename(store, kept) == 0; /* a file system without hard links */
}

static void
sync_file(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* Puts the new file in the place of the old one. At no moment is there neither: a kill in between
 * leaves the old one in place, and the next start does all this again. */
static bool
replace(struct rescue *r, uint64_t saved, char *why, size_t why_size)
{
    const char *store = r->files->store;
    char kept[PATH_MAX], directory[PATH_MAX];
    int failed;

    sync_file(r->fresh, O_RDONLY);
    if (!keep_old(store, kept, sizeof kept)) {
        snprintf(why, why_size, "%s cannot be moved aside: %s", store, strerror(errno));
        return false;
    }
    failed = access(r->fresh, F_OK) == 0 ? rename(r->fresh, store) : unlink(store);
    if (failed && errno != ENOENT) {
        snprintf(why, why_size, "%s cannot be replaced: %s", store, strerror(errno));
        if (rename(kept, store) == 0)
            unlink(kept); /* still there when both were names of one file */
        return false;
    }
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(store, '/') - store), store);
    sync_file(directory, O_RDONLY | O_DIRECTORY);
    log_warning("the store %s was damaged: %" PRIu64 " policies were saved, the old file is kept "
                "as %s",
                store, saved, kept);
    return true;
}

/* Leaves no file of its own, whatever comes of it. */
static bool
rescue(struct rescue *r, char *why, size_t why_size)
{
    struct result best = {0};
    enum store_db_status status;
    bool done = false;

    unlink(r->fresh);
    r->end_ms = clock_boot_ms() + LIMIT_MS;
    status = copy_best(r, &best);
    unlink(r->trial);
    unlink(r->headed);
    if (status == STORE_DB_OK)
        done = replace(r, best.saved, why, why_size);
    else
        snprintf(why, why_size, "%s", r->progress->why);
    if (!done)
        unlink(r->fresh);
    return done;
}

static bool
prepare(struct rescue *r, bool damaged, char *why, size_t why_size)
{
    enum store_db_status status = damaged ? STORE_DB_DAMAGED : run_child(r, LOOK_S, look);

    if (status == STORE_DB_DAMAGED)
        return rescue(r, why, why_size);
    if (status == STORE_DB_OK || status == STORE_DB_MISSING)
        return true;
    snprintf(why, why_size, "%s", r->progress->why);
    return false;
}

bool
store_rescue(const struct store_files *files, bool surely_damaged, char *why, size_t why_size)
{
    struct rescue r = {.files = files};
    struct stat st;
    bool crashed = access(files->suspect, F_OK) == 0, ok = true;

    if (stat(files->store, &st) == 0 && st.st_size > 0) {
        snprintf(r.headed, sizeof r.headed, "%s.head", files->store);
        snprintf(r.trial, sizeof r.trial, "%s.trial", files->store);
        snprintf(r.fresh, sizeof r.fresh, "%s.new", files->store);
        r.progress = mmap(NULL, sizeof *r.progress, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (r.progress == MAP_FAILED) {
            snprintf(why, why_size, "no shared memory: %s", strerror(errno));
            return false;
        }
        ok = prepare(&r, surely_damaged || crashed, why, why_size);
        munmap(r.progress, sizeof *r.progress);
    }
    if (ok && crashed)
        unlink(files->suspect);
    return ok;
}
