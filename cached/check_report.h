/* check_report - what a check of a domain has found: lines by layer, each with a status, and the
 * exit status that follows from them. All text in it is printable ASCII, whatever came in.
 *
 * An error is what keeps mail from being delivered as the domain's policy promises, or the policy
 * from being found; a warning is anything else to be mended. A layer that nothing rests on yet (a
 * file without a record, hosts under mode testing) cannot err: check_report_settle. */
#ifndef STS_CACHED_CHECK_REPORT_H
#define STS_CACHED_CHECK_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cached/exitcode.h"
#include "common/buf.h"
#include "common/domain.h"
#include "common/error.h"
#include "common/policy.h"
#include "common/scan.h"
#include "common/txt.h"

/* In the order of the report. */
enum check_layer {
    CHECK_TXT,    /* the record at _mta-sts */
    CHECK_FETCH,  /* the policy file over HTTPS */
    CHECK_POLICY, /* what stands in it */
    CHECK_MX,     /* the MX set, against the policy */
    CHECK_TLS,    /* STARTTLS and certificate of each MX host */
    CHECK_DANE,   /* TLSA of each MX host */
    CHECK_TLSRPT, /* the record at _smtp._tls */
    CHECK_LAYERS
};

enum check_status { CHECK_OK, CHECK_WARNING, CHECK_ERROR };

enum {
    CHECK_LAYER_MAX = 150,  /* lines of one layer: all of SOURCE_MX_MAX hosts twice, and some */
    CHECK_TEXT_SIZE = 400,  /* of one line's text */
    CHECK_QUOTE_SIZE = 120, /* of foreign bytes in it */
    CHECK_SUBJECT_SIZE = 300
};

struct check_line {
    enum check_status status;
    enum exitcode exit_code; /* of this line alone; not EXIT_DONE for an error */
    enum sts_error reason;
    const char *advice; /* what to do: constant text, or NULL */
    int64_t expires_s;  /* of the certificate, wall time; 0: does not apply */
    char *subject;      /* host or name that it is about, or "" */
    char *text;
};

struct check_report {
    char domain[DOMAIN_SIZE];
    char id[TXT_ID_SIZE]; /* "": no valid record */
    bool has_policy;      /* a valid file was fetched; the next two are its */
    enum policy_mode mode;
    uint32_t max_age_s;
    struct {
        struct check_line *lines;
        size_t count, dropped;
    } layers[CHECK_LAYERS];
};

void check_report_init(struct check_report *, const char *domain);
void check_report_done(struct check_report *);

/* What check_add is told beside the text; what is left out is 0. Borrowed. */
struct check_note {
    enum check_layer layer;
    enum check_status status;
    enum sts_error reason; /* of an error: it gives the exit code, which `exit_code` overrides */
    int http_status;
    enum exitcode exit_code;
    const char *subject; /* copied */
    const char *advice;  /* constant */
    int64_t expires_s;
};

/* What to do about a look-up that has failed: where no server answered, this host's resolver comes
 * first; else `otherwise`. */
const char *check_advice_on_dns(enum sts_error, const char *otherwise);

/* Adds a line. Text that is too long is cut; beyond CHECK_LAYER_MAX lines are only counted. */
__attribute__((format(printf, 3, 4))) void
check_add(struct check_report *, const struct check_note *, const char *format, ...);

/* Foreign bytes for a text: escaped, cut with "..." where they are long. */
const char *check_quote(struct span, char out[CHECK_QUOTE_SIZE]);

bool check_has_error(const struct check_report *, enum check_layer);
/* Makes warnings of errors in layers on which nothing rests, once all lines are there. */
void check_report_settle(struct check_report *);
/* The worst line's status and the highest exit code. */
enum check_status check_worst(const struct check_report *);
enum exitcode check_exit(const struct check_report *);

/* Appends the report as one JSON object: domain, status, id, mode, max_age, checks, exit. */
void check_report_json(const struct check_report *, struct buf *);

#endif
