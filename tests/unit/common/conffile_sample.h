/* conffile_sample - a table with every type of option, and a file to read by it. */
#ifndef STS_TESTS_CONFFILE_SAMPLE_H
#define STS_TESTS_CONFFILE_SAMPLE_H

#include "common/conffile.h"

enum { SAMPLE_ROWS = 14, SAMPLE_ERROR_SIZE = 500 };

/* Shaped like the settings of sts-cached. */
struct sample {
    struct conf_list listen;
    char *control, *state, *user, *prefix;
    int64_t mode, deadline_ms, memory, count;
    int answer;
    bool dane;
    struct {
        struct conf_list servers;
        bool trust_ad;
        int64_t timeout_ms;
    } dns;
};

extern const struct conf_option sample_table[];
extern char sample_path[];                   /* of the file; its name is drawn by set-up */
extern char sample_error[SAMPLE_ERROR_SIZE]; /* of the last reading */

void sample_write(const char *text, size_t len);
/* Writes the text and reads it; sample_must_read fails the test when that fails. */
bool sample_read(const char *text, struct sample *out);
void sample_must_read(const char *text, struct sample *out);
void sample_done(struct sample *);
/* The items, joined by "|". */
void sample_assert_list(const struct conf_list *, const char *joined);

int sample_set_up(void **state);
int sample_tear_down(void **state);

#endif
