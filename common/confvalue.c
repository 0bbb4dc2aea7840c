#include "common/confvalue.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/scan.h"

struct unit {
    const char *name;
    int64_t worth;
};

/* Largest first; the first that divides a value is the one it is printed in. */
static const struct unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                             {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit size_units[] = {{"T", 1LL << 40}, {"G", 1LL << 30}, {"M", 1LL << 20},
                                         {"K", 1LL << 10}, {"", 1},          {NULL, 0}};

static const struct {
    const char *word;
    bool value;
} bool_words[] = {{"on", true},     {"off", false}, {"true", true},
                  {"false", false}, {"yes", true},  {"no", false}};

enum { DIGITS_MAX = 18, OCTAL_DIGITS_MAX = 5, MODE_MAX = 0777, NUMBER_TEXT_SIZE = 32 };

/* --- fields ------------------------------------------------------------------- */

static void *
field(const struct conf_option *row, void *settings)
{
    return (char *)settings + row->offset;
}

static const void *
const_field(const struct conf_option *row, const void *settings)
{
    return (const char *)settings + row->offset;
}

static size_t
field_size(const struct conf_option *row)
{
    switch (row->type) {
    case CONF_STRING:
        return sizeof(char *);
    case CONF_LIST:
        return sizeof(struct conf_list);
    case CONF_BOOL:
        return sizeof(bool);
    case CONF_CHOICE:
        return sizeof(int);
    case CONF_DURATION:
    case CONF_SIZE:
    case CONF_NUMBER:
    case CONF_MODE:
        break;
    }
    return sizeof(int64_t);
}

void
conf_list_add(struct conf_list *list, const char *item)
{
    list->items = alloc_resize(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = alloc_string(item);
}

void
conf_list_done(struct conf_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct conf_list){0};
}

/* --- from text ---------------------------------------------------------------- */

/* Reads digits and a unit; `bare` is the worth of a number without one. */
static bool
read_amount(const char *text, const struct unit *units, int64_t bare, int64_t *out)
{
    struct scan rest = scan_bytes(text, strlen(text));
    uint64_t number;

    if (!scan_number(&rest, DIGITS_MAX, &number))
        return false;
    if (scan_is_done(&rest))
        return !__builtin_mul_overflow((int64_t)number, bare, out);
    for (; units->name != NULL; units++) {
        if (units->name[0] != '\0' && strcmp(rest.at, units->name) == 0)
            return !__builtin_mul_overflow((int64_t)number, units->worth, out);
    }
    return false;
}

static bool
read_mode(const char *text, int64_t *out)
{
    size_t len = strlen(text);

    if (len == 0 || len > OCTAL_DIGITS_MAX || strspn(text, "01234567") != len)
        return false;
    *out = strtol(text, NULL, 8);
    return *out <= MODE_MAX;
}

static bool
read_bool(const char *text, bool *out)
{
    for (size_t i = 0; i < sizeof bool_words / sizeof bool_words[0]; i++) {
        if (strcmp(text, bool_words[i].word) == 0) {
            *out = bool_words[i].value;
            return true;
        }
    }
    return false;
}

static bool
read_choice(const char *text, const char *const *choices, int *out)
{
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(text, choices[i]) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* Writes a number in the row's own terms. */
static void
format_number(const struct conf_option *row, int64_t value, char text[NUMBER_TEXT_SIZE])
{
    const struct unit *unit = row->type == CONF_DURATION ? duration_units : size_units;

    if (row->type == CONF_MODE) {
        snprintf(text, NUMBER_TEXT_SIZE, "%04" PRIo64, value);
    } else if (row->type == CONF_NUMBER) {
        snprintf(text, NUMBER_TEXT_SIZE, "%" PRId64, value);
    } else if (value == 0) {
        snprintf(text, NUMBER_TEXT_SIZE, "0%s", row->type == CONF_DURATION ? "s" : "");
    } else {
        while (value % unit->worth != 0)
            unit++;
        snprintf(text, NUMBER_TEXT_SIZE, "%" PRId64 "%s", value / unit->worth, unit->name);
    }
}

static bool
is_in_range(const struct conf_option *row, int64_t value, char *why, size_t size)
{
    char min[NUMBER_TEXT_SIZE], max[NUMBER_TEXT_SIZE];

    if ((row->min == 0 && row->max == 0) || (value >= row->min && value <= row->max))
        return true;
    format_number(row, row->min, min);
    format_number(row, row->max, max);
    snprintf(why, size, "is out of range, it must be from %s to %s", min, max);
    return false;
}

static void
describe_choices(const struct conf_option *row, char *why, size_t size)
{
    size_t used = (size_t)snprintf(why, size, "must be one of");

    for (size_t i = 0; row->choices[i] != NULL && used < size; i++)
        used += (size_t)snprintf(why + used, size - used, "%s %s", i ? "," : "", row->choices[i]);
}

/* Says what a value of this type looks like. */
static void
describe_type(const struct conf_option *row, char *why, size_t size)
{
    static const char *const forms[] = {
        [CONF_DURATION] = "must be a duration: seconds, or like \"500ms\", \"4s\", \"5m\", \"2h\", "
                          "\"1d\"",
        [CONF_SIZE] = "must be a size: bytes, or like \"64K\", \"256M\", \"1G\"",
        [CONF_NUMBER] = "must be a decimal number",
        [CONF_MODE] = "must be an octal file mode from 0 to 0777, like 0660",
        [CONF_BOOL] = "must be one of on, off, true, false, yes, no",
    };

    if (row->type == CONF_CHOICE)
        describe_choices(row, why, size);
    else
        snprintf(why, size, "%s", forms[row->type]);
}

/* An empty string is as good as none where there is no default to be overridden by it; anywhere
 * else it is a value, and mostly a wrong one. */
static bool
means_none(const struct conf_option *row, const char *text)
{
    return row->type == CONF_STRING && row->defaults == NULL && text[0] == '\0';
}

static bool
set_scalar(const struct conf_option *row, const char *text, void *to, char *why, size_t size)
{
    bool is_read = false;

    switch (row->type) {
    case CONF_STRING:
        *(char **)to = means_none(row, text) ? NULL : alloc_string(text);
        return true;
    case CONF_LIST:
        conf_list_add(to, text);
        return true;
    case CONF_DURATION:
        is_read = read_amount(text, duration_units, 1000, to);
        break;
    case CONF_SIZE:
        is_read = read_amount(text, size_units, 1, to);
        break;
    case CONF_NUMBER:
        is_read = read_amount(text, &(struct unit){NULL, 0}, 1, to);
        break;
    case CONF_MODE:
        is_read = read_mode(text, to);
        break;
    case CONF_BOOL:
        is_read = read_bool(text, to);
        break;
    case CONF_CHOICE:
        is_read = read_choice(text, row->choices, to);
        break;
    }
    if (!is_read)
        describe_type(row, why, size);
    else if (row->type == CONF_DURATION || row->type == CONF_SIZE || row->type == CONF_NUMBER)
        return is_in_range(row, *(const int64_t *)to, why, size);
    return is_read;
}

static bool
has_room(const struct conf_option *row, const void *settings, char *why, size_t size)
{
    const struct conf_list *list = const_field(row, settings);

    if (row->type != CONF_LIST || row->max == 0 || list->count <= (size_t)row->max)
        return true;
    snprintf(why, size, "has %zu items, at most %" PRId64 " are possible", list->count, row->max);
    return false;
}

bool
confvalue_set(const struct conf_option *row, const struct conf_list *texts, void *settings,
              char *why, size_t size)
{
    for (size_t i = 0; i < texts->count; i++) {
        const char *text = texts->items[i], *wrong;

        if (!set_scalar(row, text, field(row, settings), why, size))
            return false;
        wrong = row->check != NULL && !means_none(row, text) ? row->check(text) : NULL;
        if (wrong != NULL) {
            snprintf(why, size, "\"%.80s\": %s", text, wrong);
            return false;
        }
    }
    return has_room(row, settings, why, size);
}

void
confvalue_set_default(const struct conf_option *row, void *settings)
{
    char *copy, *word, *rest;
    struct conf_list texts = {0};
    char why[200];

    if (row->defaults == NULL)
        return;
    rest = copy = alloc_string(row->defaults);
    if (row->type != CONF_LIST)
        conf_list_add(&texts, copy);
    while (row->type == CONF_LIST && (word = strsep(&rest, " ")) != NULL) {
        if (word[0] != '\0')
            conf_list_add(&texts, word);
    }
    if (!confvalue_set(row, &texts, settings, why, sizeof why)) {
        fprintf(stderr, "bug: the default of %s %s\n", row->name, why);
        abort();
    }
    conf_list_done(&texts);
    free(copy);
}

/* --- printing ----------------------------------------------------------------- */

static void
print_quoted(const char *text, FILE *out)
{
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', out);
        putc(*text, out);
    }
    putc('"', out);
}

static void
print_list(const struct conf_list *list, FILE *out)
{
    putc('{', out);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i ? ", " : " ", out);
        print_quoted(list->items[i], out);
    }
    fputs(" }", out);
}

/* In the words of the default: an option that is off by default is "on", not "true". */
static const char *
bool_word(const struct conf_option *row, bool value)
{
    size_t first = 0;

    for (size_t i = 0; row->defaults && i < sizeof bool_words / sizeof bool_words[0]; i++) {
        if (strcmp(row->defaults, bool_words[i].word) == 0)
            first = i & ~(size_t)1;
    }
    return bool_words[value ? first : first + 1].word;
}

void
confvalue_print(const struct conf_option *row, const void *settings, FILE *out)
{
    const void *from = const_field(row, settings);
    char text[NUMBER_TEXT_SIZE];

    switch (row->type) {
    case CONF_STRING:
        print_quoted(*(char *const *)from ? *(char *const *)from : "", out);
        break;
    case CONF_LIST:
        print_list(from, out);
        break;
    case CONF_BOOL:
        fputs(bool_word(row, *(const bool *)from), out);
        break;
    case CONF_CHOICE:
        fputs(row->choices[*(const int *)from], out);
        break;
    case CONF_DURATION:
    case CONF_SIZE:
    case CONF_NUMBER:
    case CONF_MODE:
        format_number(row, *(const int64_t *)from, text);
        fputs(text, out);
        break;
    }
}

/* --- the life of a field ------------------------------------------------------ */

void
confvalue_free(const struct conf_option *row, void *settings)
{
    void *at = field(row, settings);

    if (row->type == CONF_STRING)
        free(*(char **)at);
    else if (row->type == CONF_LIST)
        conf_list_done(at);
    memset(at, 0, field_size(row));
}

static bool
is_same_list(const struct conf_list *a, const struct conf_list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    }
    return a->count == b->count;
}

bool
confvalue_is_equal(const struct conf_option *row, const void *a, const void *b)
{
    const void *left = const_field(row, a), *right = const_field(row, b);

    if (row->type == CONF_LIST)
        return is_same_list(left, right);
    if (row->type == CONF_STRING) {
        const char *x = *(char *const *)left, *y = *(char *const *)right;
        return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
    }
    return memcmp(left, right, field_size(row)) == 0;
}

void
confvalue_copy(const struct conf_option *row, const void *from, void *to)
{
    const void *source = const_field(row, from);
    void *target = field(row, to);

    confvalue_free(row, to);
    if (row->type == CONF_LIST) {
        const struct conf_list *list = source;
        for (size_t i = 0; i < list->count; i++)
            conf_list_add(target, list->items[i]);
    } else if (row->type == CONF_STRING) {
        const char *text = *(char *const *)source;
        *(char **)target = text != NULL ? alloc_string(text) : NULL;
    } else {
        memcpy(target, source, field_size(row));
    }
}
