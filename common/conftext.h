/* conftext - the text of a configuration file, loaded whole and screened before libconfuse sees it.
 * libconfuse 3.3 takes an unclosed section or string for a good file, expands ${VAR}, drops bytes
 * that it does not know, cuts at a NUL, lets the last of two assignments win, and flex ends the
 * process when the file is a directory (LIBRARIES 1g); a comment in a list may stop it. What passes
 * here has none of that, comments included (blanks stand for them then):
 *
 *   file    = *( setting / name "{" *setting "}" )
 *   setting = name ( "=" / "+=" ) ( value / "{" [ value *( "," value ) [ "," ] ] "}" )
 *   value   = word / 'string' / "string"       with #, // and C comments anywhere between
 *
 * Words hold letters, digits and _ . : @ % [ ] / -; strings hold no line end, no control byte, no
 * "${", and of escapes only \\ and the quote itself.
 *
 * It also says where each name stands, for error messages. */
#ifndef STS_COMMON_CONFTEXT_H
#define STS_COMMON_CONFTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/alloc.h"
#include "common/buf.h"

enum { CONFTEXT_MAX = 1024 * 1024 /* bytes; a real file has a few thousand */ };

/* One assignment, or the head of a section (`name` NULL). */
struct conftext_place {
    char *section; /* NULL at the top level */
    char *name;
    int line;
    bool is_append; /* "+=" */
    bool is_list;   /* braces */
};

struct conftext {
    struct buf text;               /* without comments */
    struct conftext_place *places; /* in the order of the file */
    size_t count;
};

/* Loads and screens the file. False: `error` (size bytes) holds "FILE:LINE: reason" (or
 * "FILE: reason"), and nothing needs freeing. */
MUST_CHECK bool conftext_load(const char *path, struct conftext *, char *error, size_t size);
void conftext_done(struct conftext *);

/* The first place where `name` of `section` (NULL: top level) is set; NULL when there is none. */
const struct conftext_place *conftext_find(const struct conftext *, const char *section,
                                           const char *name);

#endif
