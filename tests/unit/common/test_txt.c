#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/txt.h"

enum { RECORDS_MAX = 5 };

#define ID32 "abcdefghijklmnopqrstuvwxyz012345"
#define NAME32 "n23456789012345678901234567890._"

static const struct {
    const char *name;
    const char *records[RECORDS_MAX];
    enum sts_error error;
    const char *id;
} rows[] = {
    /* one good record */
    {"RFC example", {"v=STSv1; id=20160831085700Z;"}, STS_OK, "20160831085700Z"},
    {"no final delimiter", {"v=STSv1; id=20160831085700Z"}, STS_OK, "20160831085700Z"},
    {"no blank", {"v=STSv1;id=1;"}, STS_OK, "1"},
    {"blanks round the delimiter", {"v=STSv1; id=1 \t;\t x=y"}, STS_OK, "1"},
    {"blanks behind the final delimiter", {"v=STSv1; id=1; \t"}, STS_OK, "1"},
    {"blank before the final delimiter", {"v=STSv1; id=1 ;"}, STS_OK, "1"},
    {"tabs", {"v=STSv1;\tid=1;"}, STS_OK, "1"},
    {"id of 32", {"v=STSv1; id=" ID32 ";"}, STS_OK, ID32},
    {"id of one letter", {"v=STSv1; id=Z"}, STS_OK, "Z"},
    {"id keeps its case", {"v=STSv1; id=aBcD"}, STS_OK, "aBcD"},
    {"id of zeros", {"v=STSv1; id=000"}, STS_OK, "000"},

    /* unknown fields */
    {"unknown field before", {"v=STSv1; foo=bar; id=1"}, STS_OK, "1"},
    {"unknown field behind", {"v=STSv1; id=1; foo=bar;"}, STS_OK, "1"},
    {"unknown field twice", {"v=STSv1; a=1; id=1; a=2"}, STS_OK, "1"},
    {"all bytes of a name", {"v=STSv1; a.B_9-=x; id=1"}, STS_OK, "1"},
    {"name of 32", {"v=STSv1; " NAME32 "=x; id=1"}, STS_OK, "1"},
    {"name of 33", {"v=STSv1; " NAME32 "n=x; id=1"}, STS_BAD_RECORD, ""},
    {"name begins with digit", {"v=STSv1; 9a=x; id=1"}, STS_OK, "1"},
    {"name begins with hyphen", {"v=STSv1; -a=x; id=1"}, STS_BAD_RECORD, ""},
    {"name begins with underscore", {"v=STSv1; _a=x; id=1"}, STS_BAD_RECORD, ""},
    {"no name", {"v=STSv1; =x; id=1"}, STS_BAD_RECORD, ""},
    {"odd byte in a name", {"v=STSv1; a!=x; id=1"}, STS_BAD_RECORD, ""},
    {"no value", {"v=STSv1; foo=; id=1"}, STS_BAD_RECORD, ""},
    {"no equals sign", {"v=STSv1; foo; id=1"}, STS_BAD_RECORD, ""},
    {"value with equals sign", {"v=STSv1; foo=a=b; id=1"}, STS_BAD_RECORD, ""},
    {"value with blank", {"v=STSv1; foo=a b; id=1"}, STS_BAD_RECORD, ""},
    {"value with every odd sign", {"v=STSv1; foo=!:<>~\"\\,{}; id=1"}, STS_OK, "1"},
    {"value with control", {"v=STSv1; foo=a\x01; id=1"}, STS_BAD_RECORD, ""},
    {"value with DEL", {"v=STSv1; foo=a\x7f; id=1"}, STS_BAD_RECORD, ""},
    {"value in UTF-8", {"v=STSv1; foo=\xc3\xa9; id=1"}, STS_BAD_RECORD, ""},
    {"blank before equals sign", {"v=STSv1; foo =x; id=1"}, STS_BAD_RECORD, ""},
    {"blank behind equals sign", {"v=STSv1; foo= x; id=1"}, STS_BAD_RECORD, ""},

    /* bad ids */
    {"no id", {"v=STSv1; foo=bar"}, STS_BAD_RECORD, ""},
    {"no field", {"v=STSv1;"}, STS_BAD_RECORD, ""},
    {"no field, blanks", {"v=STSv1; "}, STS_BAD_RECORD, ""},
    {"empty id", {"v=STSv1; id=;"}, STS_BAD_RECORD, ""},
    {"id of 33", {"v=STSv1; id=" ID32 "6;"}, STS_BAD_RECORD, ""},
    {"id with hyphen", {"v=STSv1; id=2016-08-31"}, STS_BAD_RECORD, ""},
    {"id with underscore", {"v=STSv1; id=a_b"}, STS_BAD_RECORD, ""},
    {"id with blank", {"v=STSv1; id=a b"}, STS_BAD_RECORD, ""},
    {"id in quotes", {"v=STSv1; id=\"1\""}, STS_BAD_RECORD, ""},
    {"id in UTF-8", {"v=STSv1; id=\xc3\xa9"}, STS_BAD_RECORD, ""},
    {"ID", {"v=STSv1; ID=1"}, STS_BAD_RECORD, ""},
    {"blank before the id", {"v=STSv1; id= 1"}, STS_BAD_RECORD, ""},
    {"blank before equals sign of id", {"v=STSv1; id =1"}, STS_BAD_RECORD, ""},

    /* the first id counts */
    {"two ids", {"v=STSv1; id=1; id=2"}, STS_OK, "1"},
    {"the same id twice", {"v=STSv1; id=1; id=1"}, STS_OK, "1"},
    {"second id bad", {"v=STSv1; id=1; id=a-b;"}, STS_OK, "1"},
    {"second id empty", {"v=STSv1; id=1; id="}, STS_OK, "1"},
    {"first id bad", {"v=STSv1; id=a-b; id=2"}, STS_BAD_RECORD, ""},
    {"first id empty", {"v=STSv1; id=; id=2"}, STS_BAD_RECORD, ""},
    {"version again", {"v=STSv1; v=STSv2; id=1"}, STS_OK, "1"},
    {"version again, empty", {"v=STSv1; v=; id=1"}, STS_OK, "1"},

    /* delimiters */
    {"two delimiters", {"v=STSv1;; id=1"}, STS_BAD_RECORD, ""},
    {"two delimiters, blank between", {"v=STSv1; ; id=1"}, STS_BAD_RECORD, ""},
    {"two final delimiters", {"v=STSv1; id=1;;"}, STS_BAD_RECORD, ""},
    {"final blank", {"v=STSv1; id=1 "}, STS_BAD_RECORD, ""},
    {"final newline", {"v=STSv1; id=1\n"}, STS_BAD_RECORD, ""},
    {"newline behind the delimiter", {"v=STSv1; id=1;\n"}, STS_BAD_RECORD, ""},
    {"comma", {"v=STSv1; id=1, foo=bar"}, STS_BAD_RECORD, ""},

    /* no candidate */
    {"no record at all", {NULL}, STS_NO_RECORD, ""},
    {"empty record", {""}, STS_NO_RECORD, ""},
    {"something else", {"v=spf1 -all"}, STS_NO_RECORD, ""},
    {"version alone", {"v=STSv1"}, STS_NO_RECORD, ""},
    {"version and blank", {"v=STSv1 id=1"}, STS_NO_RECORD, ""},
    {"another version", {"v=STSv2; id=1"}, STS_NO_RECORD, ""},
    {"longer version", {"v=STSv10; id=1"}, STS_NO_RECORD, ""},
    {"upper-case version", {"V=STSv1; id=1"}, STS_NO_RECORD, ""},
    {"lower-case version", {"v=stsv1; id=1"}, STS_NO_RECORD, ""},
    {"leading blank", {" v=STSv1; id=1"}, STS_NO_RECORD, ""},
    {"blank in the version", {"v =STSv1; id=1"}, STS_NO_RECORD, ""},
    {"version in quotes", {"\"v=STSv1; id=1\""}, STS_NO_RECORD, ""},
    {"version not first", {"id=1; v=STSv1;"}, STS_NO_RECORD, ""},
    {"BOM", {"\xef\xbb\xbfv=STSv1; id=1"}, STS_NO_RECORD, ""},

    /* blanks before the first delimiter (ambiguity 3) */
    {"lone with blank", {"v=STSv1 ; id=1"}, STS_OK, "1"},
    {"lone with blanks", {"v=STSv1 \t;id=1"}, STS_OK, "1"},
    {"blank, among others", {"v=spf1 -all", "v=STSv1 ; id=1"}, STS_NO_RECORD, ""},
    {"blank, beside a good one", {"v=STSv1 ; id=1", "v=STSv1; id=2"}, STS_OK, "2"},

    /* several */
    {"among others", {"v=spf1 -all", "v=STSv1; id=1", "x=y"}, STS_OK, "1"},
    {"among empty ones", {"", "v=STSv1; id=1", ""}, STS_OK, "1"},
    {"two good", {"v=STSv1; id=1", "v=STSv1; id=2"}, STS_SEVERAL_RECORDS, ""},
    {"the same twice", {"v=STSv1; id=1", "v=STSv1; id=1"}, STS_SEVERAL_RECORDS, ""},
    {"good and broken", {"v=STSv1; id=1", "v=STSv1;"}, STS_SEVERAL_RECORDS, ""},
    {"broken and good", {"v=STSv1; id=!", "x", "v=STSv1; id=1"}, STS_SEVERAL_RECORDS, ""},
    {"two broken", {"v=STSv1;", "v=STSv1;;"}, STS_SEVERAL_RECORDS, ""},
    {"good and another version", {"v=STSv1; id=1", "v=STSv2; id=2"}, STS_OK, "1"},
    {"good and wrong case", {"v=STSv1; id=1", "v=stsv1; id=2"}, STS_OK, "1"},
    {"broken among others", {"x", "v=STSv1; foo", "y"}, STS_BAD_RECORD, ""},
    {"none among others", {"x", "y", "z", ""}, STS_NO_RECORD, ""},
};

static void
check(const char *name, const struct span *records, size_t count, enum sts_error want,
      const char *want_id)
{
    char id[TXT_ID_SIZE];
    enum sts_error got;

    memset(id, 'x', sizeof id);
    got = txt_parse(records, count, id);
    if (got != want || memchr(id, '\0', sizeof id) == NULL || strcmp(id, want_id) != 0)
        fail_msg("%s: %s, id \"%.32s\", not %s, \"%s\"", name, sts_error_name(got), id,
                 sts_error_name(want), want_id);
}

static void
test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct span records[RECORDS_MAX];
        size_t count = 0;

        while (count < RECORDS_MAX && rows[i].records[count]) {
            records[count].at = rows[i].records[count];
            records[count].len = strlen(rows[i].records[count]);
            count++;
        }
        check(rows[i].name, records, count, rows[i].error, rows[i].id);
    }
}

static void
test_lengths_rule_not_nul(void **state)
{
    static const char at_end[] = "v=STSv1; id=1\0", in_id[] = "v=STSv1; id=1\0002;";
    static const char in_version[] = "v=STSv1\0; id=1";
    struct span records[] = {
        {at_end, sizeof at_end - 1},
        {in_id, sizeof in_id - 1},
        {in_version, sizeof in_version - 1},
        {at_end, sizeof at_end - 2},
    };

    (void)state;
    check("NUL at the end", &records[0], 1, STS_BAD_RECORD, "");
    check("NUL in the id", &records[1], 1, STS_BAD_RECORD, "");
    check("NUL behind the version", &records[2], 1, STS_NO_RECORD, "");
    check("NUL behind the span", &records[3], 1, STS_OK, "1");
}

/* A fault is told for bad records, and for those alone. */
static void
test_fault(void **state)
{
    static const struct {
        const char *record, *part;
    } faults[] = {
        {"v=STSv1; id=1;", NULL},
        {"v=spf1 -all", NULL},
        {"v=STSv1; foo=bar", "id is missing"},
        {"v=STSv1;", "id is missing"},
        {"v=STSv1; id=", "empty"},
        {"v=STSv1; id=;", "empty"},
        {"v=STSv1; id=-1", "does not begin"},
        {"v=STSv1; id=2026-08-01", "other than letters and digits"},
        {"v=STSv1; id=" ID32 "6", "longer than 32"},
        {"v=STSv1; id=1; foo", "name=value"},
        {"v=STSv1; id=1; foo=a=b", "name=value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct span record = {faults[i].record, strlen(faults[i].record)};
        const char *fault = txt_fault(&record, 1);

        if ((fault == NULL) != (faults[i].part == NULL) ||
            (fault != NULL && strstr(fault, faults[i].part) == NULL))
            fail_msg("%s: %s", faults[i].record, fault != NULL ? fault : "(no fault)");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_lengths_rule_not_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
