#include "common/conffile.h"

#include <confuse.h>
#include <stdlib.h>
#include <string.h>

#include "common/conftext.h"
#include "common/confvalue.h"

/* A table, and where to say what is wrong with the file. */
struct job {
    const char *path;
    const struct conf_option *table;
    size_t rows;
    char *error;
    size_t size;
};

static bool
is_in_section(const struct conf_option *row, const char *section)
{
    return section == NULL || row->section == NULL ? section == row->section
                                                   : strcmp(section, row->section) == 0;
}

/* True for the first row of each section. */
static bool
opens_section(const struct conf_option *table, size_t row)
{
    if (table[row].section == NULL)
        return false;
    for (size_t i = 0; i < row; i++) {
        if (is_in_section(&table[i], table[row].section))
            return false;
    }
    return true;
}

/* --- the names in the file ---------------------------------------------------- */

static bool
fail_at(const struct job *job, const struct conftext_place *place, const char *reason)
{
    snprintf(job->error, job->size, "%s:%d: %s%s%s: %s", job->path, place->line,
             place->section ? place->section : "", place->section && place->name ? "." : "",
             place->name ? place->name : "", reason);
    return false;
}

/* The row that `place` sets, or the first of its section; NULL when there is none. */
static const struct conf_option *
find_row(const struct job *job, const struct conftext_place *place)
{
    for (size_t i = 0; i < job->rows; i++) {
        const struct conf_option *row = &job->table[i];
        if (is_in_section(row, place->section) &&
            (place->name == NULL || strcmp(row->name, place->name) == 0))
            return row;
    }
    return NULL;
}

static bool
check_place(const struct job *job, const struct conftext_place *place)
{
    const struct conf_option *row = find_row(job, place);

    if (row == NULL)
        return fail_at(job, place, place->name ? "there is no such option" : "no such section");
    if (place->name == NULL || row->type == CONF_LIST)
        return true;
    if (place->is_append)
        return fail_at(job, place, "only lists can be added to with +=");
    if (place->is_list)
        return fail_at(job, place, "takes one value, not a list");
    return true;
}

/* --- the values --------------------------------------------------------------- */

/* One libconfuse option a row of `section`; all are strings, because libconfuse's own integers are
 * hexadecimal or octal at will and its booleans have no quoted form. The end mark is included. */
static cfg_opt_t *
section_options(const struct job *job, const char *section, size_t *count)
{
    cfg_opt_t *options = alloc_zero(2 * job->rows + 1, sizeof *options);

    *count = 0;
    for (size_t i = 0; i < job->rows; i++) {
        const struct conf_option *row = &job->table[i];
        if (!is_in_section(row, section))
            continue;
        options[(*count)++] = row->type == CONF_LIST
                                  ? (cfg_opt_t)CFG_STR_LIST(row->name, NULL, CFGF_NONE)
                                  : (cfg_opt_t)CFG_STR(row->name, NULL, CFGF_NONE);
    }
    return options;
}

/* libconfuse copies all of it. */
static cfg_t *
new_parser(const struct job *job)
{
    size_t count, first, ignored;
    cfg_opt_t *options = section_options(job, NULL, &count);
    cfg_t *cfg;

    first = count;
    for (size_t i = 0; i < job->rows; i++) {
        const char *section = job->table[i].section;
        if (opens_section(job->table, i))
            options[count++] =
                (cfg_opt_t)CFG_SEC(section, section_options(job, section, &ignored), CFGF_NONE);
    }
    cfg = cfg_init(options, CFGF_NONE);
    for (size_t i = first; i < count; i++)
        free(options[i].subopts);
    free(options);
    return cfg;
}

/* The screen has said what can be wrong; this keeps libconfuse from writing to stderr. */
__attribute__((format(printf, 2, 0))) static void
ignore_message(cfg_t *cfg, const char *format, va_list args)
{
    (void)cfg;
    (void)format;
    (void)args;
}

static cfg_t *
parse(const struct job *job, const struct conftext *text)
{
    cfg_t *cfg = new_parser(job);

    cfg_set_error_function(cfg, ignore_message);
    if (text->text.len == 0 || cfg_parse_buf(cfg, buf_string(&text->text)) == CFG_SUCCESS)
        return cfg;
    snprintf(job->error, job->size, "%s: libconfuse cannot read this file", job->path);
    cfg_free(cfg);
    return NULL;
}

/* What the file says for `row`, as texts; "+=" without "=" before it adds to the default. */
static struct conf_list
written_texts(cfg_t *cfg, const struct conf_option *row)
{
    struct conf_list texts = {0};
    cfg_t *section = row->section ? cfg_getsec(cfg, row->section) : cfg;
    unsigned count = cfg_size(section, row->name);

    for (unsigned i = 0; i < count; i++)
        conf_list_add(&texts, cfg_getnstr(section, row->name, i));
    return texts;
}

static bool
set_row(const struct job *job, const struct conf_option *row, const struct conftext *text,
        cfg_t *cfg, void *settings)
{
    const struct conftext_place *place = conftext_find(text, row->section, row->name);
    struct conf_list texts;
    char why[400];
    bool is_set;

    if (place == NULL || place->is_append)
        confvalue_set_default(row, settings);
    if (place == NULL)
        return true;
    texts = written_texts(cfg, row);
    is_set = confvalue_set(row, &texts, settings, why, sizeof why);
    conf_list_done(&texts);
    return is_set || fail_at(job, place, why);
}

static bool
read_file(const struct job *job, const struct conftext *text, void *settings)
{
    bool is_read = true;
    cfg_t *cfg;

    for (size_t i = 0; i < text->count; i++) {
        if (!check_place(job, &text->places[i]))
            return false;
    }
    cfg = parse(job, text);
    if (cfg == NULL)
        return false;
    for (size_t i = 0; i < job->rows && is_read; i++)
        is_read = set_row(job, &job->table[i], text, cfg, settings);
    cfg_free(cfg);
    return is_read;
}

bool
conf_read(const char *path, const struct conf_option *table, size_t rows, void *settings,
          char *error, size_t size)
{
    const struct job job = {path, table, rows, error, size};
    struct conftext text;
    bool is_read;

    if (path == NULL) {
        for (size_t i = 0; i < rows; i++)
            confvalue_set_default(&table[i], settings);
        return true;
    }
    if (!conftext_load(path, &text, error, size))
        return false;
    is_read = read_file(&job, &text, settings);
    if (!is_read)
        conf_done(table, rows, settings);
    conftext_done(&text);
    return is_read;
}

void
conf_fault(const char *path, const char *section, const char *name, const char *reason, char *error,
           size_t size)
{
    const struct conftext_place *place = NULL;
    const char *dot = section != NULL ? "." : "";
    struct conftext text;
    int line;

    if (path == NULL || !conftext_load(path, &text, error, size)) {
        snprintf(error, size, "%s%s%s: %s", section != NULL ? section : "", dot, name, reason);
        return;
    }
    place = conftext_find(&text, section, name);
    if (place == NULL && section != NULL)
        place = conftext_find(&text, section, NULL);
    line = place != NULL ? place->line : 1;
    snprintf(error, size, "%s:%d: %s%s%s: %s", path, line, section != NULL ? section : "", dot,
             name, reason);
    conftext_done(&text);
}

void
conf_done(const struct conf_option *table, size_t rows, void *settings)
{
    for (size_t i = 0; i < rows; i++)
        confvalue_free(&table[i], settings);
}

/* --- printing and reloading --------------------------------------------------- */

static void
print_row(const struct conf_option *row, const void *settings, FILE *out)
{
    fprintf(out, "%s%s = ", row->section ? "    " : "", row->name);
    confvalue_print(row, settings, out);
    putc('\n', out);
}

void
conf_print(const struct conf_option *table, size_t rows, const void *settings, FILE *out)
{
    for (size_t i = 0; i < rows; i++) {
        if (table[i].section == NULL)
            print_row(&table[i], settings, out);
    }
    for (size_t i = 0; i < rows; i++) {
        if (!opens_section(table, i))
            continue;
        fprintf(out, "%s {\n", table[i].section);
        for (size_t j = i; j < rows; j++) {
            if (is_in_section(&table[j], table[i].section))
                print_row(&table[j], settings, out);
        }
        fputs("}\n", out);
    }
}

void
conf_keep_restart_values(const struct conf_option *table, size_t rows, const void *running,
                         void *next, struct buf *names)
{
    for (size_t i = 0; i < rows; i++) {
        const char *section = table[i].section;

        if (table[i].reload || confvalue_is_equal(&table[i], running, next))
            continue;
        confvalue_copy(&table[i], running, next);
        buf_printf(names, "%s%s%s%s", names->len > 0 ? ", " : "", section != NULL ? section : "",
                   section != NULL ? "." : "", table[i].name);
    }
}
