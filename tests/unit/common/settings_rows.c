#include "tests/unit/common/settings_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 64, LONG = 10000, ERROR_SIZE = 512 };

struct row {
    char section[NAME_SIZE], name[NAME_SIZE], full_name[2 * NAME_SIZE + 1];
    bool is_text, is_list, is_none;
};

static char *
printed(const struct settings_rows *rows, const char *path, char *error)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    bool is_read = rows->print(path, out, error, ERROR_SIZE);

    fclose(out);
    if (is_read)
        return text;
    free(text);
    return NULL;
}

/* "name = value" or "section {" or "}"; false when it is no option. */
static bool
read_row(const char *line, struct row *row)
{
    char value[2] = "";

    if (sscanf(line, " %63[a-z-] = %1c", row->name, value) == 2) {
        snprintf(row->full_name, sizeof row->full_name, "%s%s%s", row->section,
                 row->section[0] != '\0' ? "." : "", row->name);
        row->is_list = value[0] == '{';
        row->is_text = value[0] == '"' || row->is_list;
        row->is_none = strstr(line, " = \"\"") != NULL;
        return true;
    }
    row->section[0] = '\0';
    (void)sscanf(line, "%63[a-z-] {", row->section);
    return false;
}

static bool
is_among(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0)
            return true;
    }
    return false;
}

/* The option stands in line 3, set to the bytes between the quotes. */
static void
write_file(const struct settings_rows *rows, const struct row *row, const char *value, size_t len)
{
    FILE *file = fopen(rows->path, "w");

    assert_non_null(file);
    fprintf(file, "\n%s%s\n%s = %s\"", row->section, row->section[0] != '\0' ? " {" : "", row->name,
            row->is_list ? "{ " : "");
    assert_int_equal(fwrite(value, 1, len, file), len);
    fprintf(file, "\"%s\n%s", row->is_list ? " }" : "", row->section[0] != '\0' ? "}\n" : "");
    fclose(file);
}

static void
check_refused(const struct settings_rows *rows, const struct row *row, const char *value,
              size_t len, const char *reason)
{
    char error[ERROR_SIZE] = "", wanted[400];
    char *text;

    write_file(rows, row, value, len);
    snprintf(wanted, sizeof wanted, "%s:3: %s", rows->path, reason);
    text = printed(rows, rows->path, error);
    if (text != NULL || strncmp(error, wanted, strlen(wanted)) != 0)
        fail_msg("%s = \"%.40s\" (%zu bytes): \"%s\", wanted \"%s...\"", row->full_name, value, len,
                 text != NULL ? "taken" : error, wanted);
}

/* "" and being left out are the same. */
static void
check_none(const struct settings_rows *rows, const struct row *row, const char *defaults)
{
    char error[ERROR_SIZE] = "";
    char *text;

    write_file(rows, row, "", 0);
    text = printed(rows, rows->path, error);
    if (text == NULL || strcmp(text, defaults) != 0)
        fail_msg("%s = \"\": %s", row->full_name, text != NULL ? text : error);
    free(text);
}

static void
check_row(const struct settings_rows *rows, const struct row *row, const char *defaults)
{
    static const char *const numbers[] = {"-1", "+1", "999999999999999999",
                                          "99999999999999999999999"};
    char reason[sizeof row->full_name + 2], bytes[LONG];

    snprintf(reason, sizeof reason, "%s: ", row->full_name);
    check_refused(rows, row, "a\0b", 3, "a NUL byte");
    memset(bytes, 'x', sizeof bytes);
    check_refused(rows, row, bytes, sizeof bytes, reason);
    bytes[0] = '/';
    check_refused(rows, row, bytes, sizeof bytes, reason);
    if (row->is_none)
        check_none(rows, row, defaults);
    else
        check_refused(rows, row, "", 0, reason);
    if (!is_among(row->full_name, rows->words))
        check_refused(rows, row, "relative/path", 13, reason);
    for (size_t i = 0; !row->is_text && i < sizeof numbers / sizeof *numbers; i++)
        check_refused(rows, row, numbers[i], strlen(numbers[i]), reason);
    if (!row->is_text && !is_among(row->full_name, rows->zeros))
        check_refused(rows, row, "0", 1, reason);
}

void
settings_rows_check(const struct settings_rows *rows)
{
    char error[ERROR_SIZE] = "";
    char *defaults = printed(rows, NULL, error), *copy, *line, *rest;
    struct row row = {0};
    size_t count = 0;

    if (defaults == NULL)
        fail_msg("%s", error);
    rest = copy = strdup(defaults);
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (!read_row(line, &row))
            continue;
        check_row(rows, &row, defaults);
        count++;
    }
    free(copy);
    free(defaults);
    assert_int_equal(count, rows->count);
}
