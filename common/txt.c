#include "common/txt.h"

#include <string.h>

static const char version[] = "v=STSv1";

enum { ID_MAX = TXT_ID_SIZE - 1, NAME_MAX_LEN = 32 };

/* sts-field-delim = *WSP ";" *WSP */
static bool
take_delimiter(struct scan *s)
{
    struct scan ahead = *s;

    scan_while(&ahead, ascii_is_blank, SIZE_MAX);
    if (!scan_char(&ahead, ';'))
        return false;
    scan_while(&ahead, ascii_is_blank, SIZE_MAX);
    *s = ahead;
    return true;
}

static bool
is_name_byte(unsigned char c)
{
    return ascii_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

static bool
is_value_byte(unsigned char c)
{
    return c >= 0x21 && c <= 0x7e && c != '=' && c != ';';
}

/* sts-extension: a field that we do not know, but whose form must be right. */
static bool
take_extension(struct scan *s)
{
    struct span name = scan_while(s, is_name_byte, NAME_MAX_LEN);

    return name.len > 0 && ascii_is_alnum((unsigned char)name.at[0]) && scan_char(s, '=') &&
           scan_while(s, is_value_byte, SIZE_MAX).len > 0;
}

static bool
take_id(struct scan *s, char id[TXT_ID_SIZE])
{
    struct span value = scan_while(s, ascii_is_alnum, ID_MAX);

    memcpy(id, value.at, value.len);
    id[value.len] = '\0';
    return value.len > 0;
}

/* A field given again is ignored, whatever its value (RFC 8461 s3.2). */
static bool
take_repeated(struct scan *s)
{
    scan_until(s, ';');
    return true;
}

static bool
take_field(struct scan *s, char id[TXT_ID_SIZE])
{
    if (scan_word(s, "v="))
        return take_repeated(s);
    if (scan_word(s, "id="))
        return id[0] ? take_repeated(s) : take_id(s, id);
    return take_extension(s);
}

/* What keeps the field that begins here from being one. */
static const char *
fault_of_field(struct scan s)
{
    if (!scan_word(&s, "id="))
        return "a field is not \"name=value\" (no blank, no second '=', a name of at most 32 "
               "signs)";
    if (scan_is_done(&s) || !ascii_is_alnum((unsigned char)*s.at))
        return "the id is empty or does not begin with a letter or digit";
    return "the id is longer than 32 signs or holds signs other than letters and digits";
}

/* sts-text-record = version 1*(delimiter field) [delimiter]; a field id must be among them. The
 * record is a candidate, so it begins with the version. NULL, or what is wrong. */
static const char *
parse_record(struct span record, char id[TXT_ID_SIZE])
{
    struct scan s = scan_bytes(record.at, record.len), field = s;

    scan_word(&s, version);
    while (!scan_is_done(&s)) {
        if (!take_delimiter(&s))
            return fault_of_field(field);
        field = s;
        if (!scan_is_done(&s) && !take_field(&s, id))
            return fault_of_field(field);
    }
    return id[0] != '\0' ? NULL : "the field id is missing";
}

/* RFC 8461 s3.1 discards by "v=STSv1;" only where there are several records, while its grammar
 * allows blanks before the ';': so a lone record may have them (ambiguity 3). */
static bool
is_candidate(struct span record, bool is_lone)
{
    struct scan s = scan_bytes(record.at, record.len);

    if (!scan_word(&s, version))
        return false;
    return is_lone ? take_delimiter(&s) : scan_char(&s, ';');
}

/* STS_OK and the one candidate, or why there is none. */
static enum sts_error
find_candidate(const struct span *records, size_t count, const struct span **found)
{
    *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!is_candidate(records[i], count == 1))
            continue;
        if (*found)
            return STS_SEVERAL_RECORDS;
        *found = &records[i];
    }
    return *found ? STS_OK : STS_NO_RECORD;
}

enum sts_error
txt_parse(const struct span *records, size_t count, char id[TXT_ID_SIZE])
{
    const struct span *found;
    enum sts_error error = find_candidate(records, count, &found);

    id[0] = '\0';
    if (error == STS_OK && parse_record(*found, id) != NULL) {
        id[0] = '\0';
        return STS_BAD_RECORD;
    }
    return error;
}

const char *
txt_fault(const struct span *records, size_t count)
{
    const struct span *found;
    char id[TXT_ID_SIZE] = "";

    return find_candidate(records, count, &found) == STS_OK ? parse_record(*found, id) : NULL;
}
