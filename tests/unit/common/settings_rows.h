/* settings_rows - every option of a program, one by one, against values that none may take. The
 * options are those that --print-config shows, so none can be forgotten here. */
#ifndef STS_TESTS_SETTINGS_ROWS_H
#define STS_TESTS_SETTINGS_ROWS_H

#include <stdbool.h>
#include <stdio.h>

struct settings_rows {
    /* Reads `path` (NULL: defaults) and prints the settings. False: `error` says why not. */
    bool (*print)(const char *path, FILE *out, char *error, size_t size);
    const char *path; /* a file to write and read */
    /* NULL-terminated, "name" or "section.name": what takes any word, and what 0 is good for. */
    const char *const *words, *const *zeros;
    size_t count; /* how many options there must be */
};

/* Fails the test at the first value that is taken, or refused without file, line and name. "" must
 * be refused, too, by every option whose default is something: it means none elsewhere. */
void settings_rows_check(const struct settings_rows *);

#endif
