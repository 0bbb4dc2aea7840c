#include "common/conftext.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/regular.h"
#include "common/scan.h"

enum token { END, WORD, STRING, ASSIGN, APPEND, OPEN, CLOSE, COMMA, BAD };

/* Where the reading stands, and the token that was read last. */
struct reader {
    const char *path;
    struct scan rest;
    int line;
    enum token token;
    struct span text; /* of WORD and STRING, without the quotes */
    struct conftext *out;
    char *error;
    size_t error_size;
};

static enum token bad(struct reader *r, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum token
bad(struct reader *r, int line, const char *format, ...)
{
    char reason[300];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    snprintf(r->error, r->error_size, "%s:%d: %s", r->path, line, reason);
    return BAD;
}

/* --- loading ------------------------------------------------------------------ */

static bool
read_all(int fd, struct buf *text)
{
    enum { CHUNK = 8192 };

    for (;;) {
        char chunk[CHUNK];
        ssize_t got = read(fd, chunk, sizeof chunk);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        buf_add(text, chunk, (size_t)got);
        if (buf_failed(text)) {
            errno = EFBIG;
            return false;
        }
    }
}

static bool
load(const char *path, struct buf *text, char *error, size_t size)
{
    FILE *file = regular_open(path, NULL, error, size);
    bool done;

    if (file == NULL)
        return false;
    done = read_all(fileno(file), text);
    if (!done)
        snprintf(error, size, "%s: %s", path, strerror(errno));
    fclose(file);
    return done;
}

/* --- tokens ------------------------------------------------------------------- */

static bool
is_name_byte(unsigned char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '_';
}

static bool
is_word_byte(unsigned char c)
{
    return is_name_byte(c) || (c != '\0' && strchr(".:@%[]", c) != NULL);
}

/* Writes blanks over the comment that begins at `from` and ends where the reading stands. */
static void
blank_comment(struct reader *r, const char *from)
{
    char *to = r->out->text.data + (from - r->out->text.data);

    for (; to < r->rest.at; to++) {
        if (*to != '\n')
            *to = ' ';
    }
}

/* Skips a C comment whose opening has been taken. */
static bool
skip_comment(struct reader *r)
{
    int line = r->line;

    for (; !scan_is_done(&r->rest); r->rest.at++) {
        if (scan_word(&r->rest, "*/"))
            return true;
        if (*r->rest.at == '\n')
            r->line++;
    }
    bad(r, line, "the comment that begins here does not end");
    return false;
}

/* Skips blanks, line ends and comments; false when a comment does not end. */
static bool
skip_space(struct reader *r)
{
    while (!scan_is_done(&r->rest)) {
        const char *from = r->rest.at;

        if (scan_char(&r->rest, '\n')) {
            r->line++;
        } else if (scan_word(&r->rest, "/*")) {
            if (!skip_comment(r))
                return false;
            blank_comment(r, from);
        } else if (scan_char(&r->rest, '#') || scan_word(&r->rest, "//")) {
            scan_until(&r->rest, '\n');
            blank_comment(r, from);
        } else if (!scan_char(&r->rest, ' ') && !scan_char(&r->rest, '\t') &&
                   !scan_char(&r->rest, '\r')) {
            break;
        }
    }
    return true;
}

/* Reads a string whose opening quote has been taken. */
static enum token
read_string(struct reader *r, char quote)
{
    struct scan *s = &r->rest;

    for (r->text.at = s->at; !scan_is_done(s) && *s->at != '\n'; s->at++) {
        unsigned char c = (unsigned char)*s->at;
        if (c == (unsigned char)quote) {
            r->text.len = (size_t)(s->at++ - r->text.at);
            return STRING;
        }
        if (c == '\0')
            return bad(r, r->line, "a NUL byte");
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return bad(r, r->line, "a control byte in a string");
        if (s->end - s->at < 2)
            continue;
        if (c == '$' && s->at[1] == '{')
            return bad(r, r->line, "${...} is not supported");
        if (c == '\\' && s->at[1] != '\\' && s->at[1] != quote)
            return bad(r, r->line, "only \\\\ and \\%c may follow a backslash", quote);
        s->at += c == '\\';
    }
    return bad(r, r->line, "the string does not end on its line");
}

/* A slash belongs to a word, but not at its end and not doubled: libconfuse loses that one. */
static enum token
read_word(struct reader *r)
{
    struct scan *s = &r->rest;

    r->text.at = s->at;
    while (!scan_is_done(s) &&
           (is_word_byte((unsigned char)*s->at) ||
            (*s->at == '/' && s->end - s->at > 1 && is_word_byte((unsigned char)s->at[1]))))
        s->at++;
    r->text.len = (size_t)(s->at - r->text.at);
    if (r->text.len > 0)
        return WORD;
    if (*s->at == '\0')
        return bad(r, r->line, "a NUL byte");
    return bad(r, r->line, "unexpected byte 0x%02x (a string needs quotes)", (unsigned char)*s->at);
}

static enum token
read_token(struct reader *r)
{
    static const struct {
        const char *word;
        enum token token;
    } signs[] = {{"=", ASSIGN}, {"+=", APPEND}, {"{", OPEN}, {"}", CLOSE}, {",", COMMA}};

    if (!skip_space(r))
        return BAD;
    if (scan_is_done(&r->rest))
        return END;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (scan_word(&r->rest, signs[i].word))
            return signs[i].token;
    }
    if (scan_char(&r->rest, '"'))
        return read_string(r, '"');
    if (scan_char(&r->rest, '\''))
        return read_string(r, '\'');
    return read_word(r);
}

static enum token
next(struct reader *r)
{
    return r->token = read_token(r);
}

/* --- grammar ------------------------------------------------------------------ */

static bool
is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

const struct conftext_place *
conftext_find(const struct conftext *text, const char *section, const char *name)
{
    for (size_t i = 0; i < text->count; i++) {
        if (is_same(text->places[i].section, section) && is_same(text->places[i].name, name))
            return &text->places[i];
    }
    return NULL;
}

/* Notes a name; false when it was there before ("+=" may follow). Takes `place`'s strings. */
static bool
add_place(struct reader *r, struct conftext_place place)
{
    struct conftext *out = r->out;
    const struct conftext_place *same = conftext_find(out, place.section, place.name);
    int before = same != NULL ? same->line : 0;

    /* Doubling at powers of two keeps the array's size out of the struct. */
    if ((out->count & (out->count - 1)) == 0)
        out->places =
            alloc_resize(out->places, (out->count ? out->count * 2 : 1) * sizeof *out->places);
    out->places[out->count++] = place;
    if (before == 0 || place.is_append)
        return true;
    bad(r, place.line, "%s \"%s\" was given before, in line %d", place.name ? "option" : "section",
        place.name ? place.name : place.section, before);
    return false;
}

/* Reads the rest of `{ a, b }`. */
static bool
read_list(struct reader *r, int line)
{
    while (next(r) == WORD || r->token == STRING) {
        if (next(r) != COMMA)
            break;
    }
    if (r->token == END)
        bad(r, line, "the list that begins here is not closed");
    else if (r->token != CLOSE && r->token != BAD)
        bad(r, r->line, "a list is written { \"a\", \"b\" }");
    return r->token == CLOSE;
}

/* Reads `= value` behind a name; the operator is the current token. */
static bool
read_setting(struct reader *r, const char *section, struct span name, int line)
{
    struct conftext_place place = {.section = section ? alloc_string(section) : NULL,
                                   .name = alloc_string_len(name.at, name.len),
                                   .line = line,
                                   .is_append = r->token == APPEND};

    place.is_list = next(r) == OPEN;
    if (!add_place(r, place))
        return false;
    if (place.is_list)
        return read_list(r, r->line);
    if (r->token != WORD && r->token != STRING && r->token != BAD)
        bad(r, line, "option \"%.*s\" has no value", (int)name.len, name.at);
    return r->token == WORD || r->token == STRING;
}

static bool read_items(struct reader *r, const char *section);

static bool
read_section(struct reader *r, struct span name, int line)
{
    struct conftext_place place = {.section = alloc_string_len(name.at, name.len), .line = line};

    if (!add_place(r, place) || !read_items(r, place.section))
        return false;
    if (r->token == CLOSE)
        return true;
    bad(r, line, "section \"%s\" is not closed", place.section);
    return false;
}

static bool
is_name(struct span text)
{
    struct scan s = scan_bytes(text.at, text.len);

    scan_while(&s, is_name_byte, text.len);
    return scan_is_done(&s);
}

static bool
read_item(struct reader *r, const char *section)
{
    struct span name = r->text;
    int line = r->line;

    if (r->token != WORD || !is_name(name)) {
        if (r->token != BAD)
            bad(r, line, "the name of an option or section is expected here");
        return false;
    }
    if (next(r) == ASSIGN || r->token == APPEND)
        return read_setting(r, section, name, line);
    if (r->token == OPEN && section == NULL)
        return read_section(r, name, line);
    if (r->token == OPEN)
        bad(r, line, "\"%.*s\": there are no sections within sections (a list needs = before {)",
            (int)name.len, name.at);
    else if (r->token != BAD)
        bad(r, line, "\"%.*s\" must be followed by =, += or {", (int)name.len, name.at);
    return false;
}

/* Reads until the end of the file or, in a section, its closing brace: the current token then. */
static bool
read_items(struct reader *r, const char *section)
{
    while (next(r) != END && (r->token != CLOSE || section == NULL)) {
        if (r->token == CLOSE) {
            bad(r, r->line, "a closing brace without an opening one");
            return false;
        }
        if (!read_item(r, section))
            return false;
    }
    return true;
}

bool
conftext_load(const char *path, struct conftext *text, char *error, size_t size)
{
    struct reader r = {.path = path, .line = 1, .out = text, .error = error, .error_size = size};

    *text = (struct conftext){0};
    buf_init(&text->text, CONFTEXT_MAX);
    if (load(path, &text->text, error, size)) {
        r.rest = scan_bytes(text->text.data, text->text.len);
        if (read_items(&r, NULL))
            return true;
    }
    conftext_done(text);
    return false;
}

void
conftext_done(struct conftext *text)
{
    for (size_t i = 0; i < text->count; i++) {
        free(text->places[i].section);
        free(text->places[i].name);
    }
    free(text->places);
    buf_done(&text->text);
    text->places = NULL;
    text->count = 0;
}
