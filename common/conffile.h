/* conffile - configuration files as data: one table per program says name, type, default, limits
 * and whether a reload takes it; this module reads a libconfuse file by it into a plain struct.
 * Adding an option is one row, one field and one line of the manual page.
 *
 * Errors name file, line, option and reason. What libconfuse lets pass is caught before it sees the
 * text (conftext.h). Words may stand without quotes; "+=" adds to a list, or to its default when it
 * was not set before; a list of one item needs no braces. libconfuse keeps its state in globals:
 * not from two threads at a time. */
#ifndef STS_COMMON_CONFFILE_H
#define STS_COMMON_CONFFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/alloc.h"
#include "common/buf.h"

enum conf_type {
    CONF_STRING,   /* char *; without a default "" means none: NULL, as when unset */
    CONF_LIST,     /* struct conf_list; "" is an item like any other */
    CONF_DURATION, /* int64_t, milliseconds: 4 (seconds), "500ms", "4s", "5m", "2h", "1d" */
    CONF_SIZE,     /* int64_t, bytes: 1024, "64K", "256M", "1G" */
    CONF_NUMBER,   /* int64_t */
    CONF_MODE,     /* int64_t, octal file mode written as 0660 or "0660" */
    CONF_BOOL,     /* bool: true/false, on/off, yes/no */
    CONF_CHOICE    /* int: index into `choices` */
};

struct conf_list {
    char **items;
    size_t count;
};

struct conf_option {
    const char *section; /* NULL for the top level; one level of sections only */
    const char *name;
    enum conf_type type;
    size_t offset;              /* of the field in the settings struct */
    const char *defaults;       /* as it would be written; NULL: none; lists: space-separated */
    int64_t min, max;           /* DURATION (ms), SIZE, NUMBER; both 0: unchecked. LIST: `max` items
                                 * at most; 0: any number */
    const char *const *choices; /* CHOICE: NULL-terminated */
    bool reload;                /* taken on SIGHUP; else a change needs a restart */
    /* Extra test of one text (each item of a list); NULL when fine, else what is wrong. It sees ""
     * as well, but for a STRING without a default, where that means none. */
    const char *(*check)(const char *value);
};

/* Fills `settings` (zeroed by the caller) from defaults and the file. `path` NULL: defaults only.
 * False: `error` (size bytes) holds "FILE:LINE: reason", and conf_done has been applied. */
MUST_CHECK bool conf_read(const char *path, const struct conf_option *table, size_t rows,
                          void *settings, char *error, size_t size);
/* Writes to `error` what is wrong with `name` of `section` (NULL: of the top level) in the file
 * that was read, in the words of conf_read; where the file does not set it, the line is that of the
 * section. For faults that no row shows. `path` as for conf_read. */
void conf_fault(const char *path, const char *section, const char *name, const char *reason,
                char *error, size_t size);
/* Frees what conf_read allocated. */
void conf_done(const struct conf_option *table, size_t rows, void *settings);
/* Writes the effective values as a file that conf_read accepts. */
void conf_print(const struct conf_option *table, size_t rows, const void *settings, FILE *out);
/* On reload: copies into `next` the values of rows that need a restart from `running`, so that
 * `next` may replace it. Adds the names of those that differ to `names` ("user, redis.server"). */
void conf_keep_restart_values(const struct conf_option *table, size_t rows, const void *running,
                              void *next, struct buf *names);

#endif
