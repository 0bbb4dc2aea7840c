#include "cached/check_record.h"

#include <stdio.h>
#include <string.h>

static const char mend_dns[] = "see to the domain's name servers and its DNSSEC, then check again";

/* --- both ------------------------------------------------------------------------------------- */

/* True when the look-up has failed; said then. */
static bool
failed(struct check_report *r, struct check_note *note, const struct txt_result *txt)
{
    if (txt->error == STS_OK || txt->error == STS_NO_RECORD)
        return false;
    note->status = CHECK_ERROR;
    note->reason = txt->error;
    note->advice = check_advice_on_dns(txt->error, mend_dns);
    check_add(r, note, "%s%s%s", sts_error_text(txt->error), txt->detail[0] != '\0' ? ": " : "",
              txt->detail);
    return true;
}

/* Blanks and letters' case apart, does the record begin with the version? */
static bool
means_version(struct span record, const char *version)
{
    struct scan s;
    size_t len = strlen(version);

    record = span_trim(record);
    s = scan_bytes(record.at, record.len);
    if (scan_char(&s, '"'))
        record = (struct span){s.at, (size_t)(s.end - s.at)};
    record.len = record.len < len ? record.len : len;
    return span_equal_nocase(record, version);
}

/* Shows the TXT records that are not ours, the first few. */
static void
show_strangers(struct check_report *r, struct check_note note, const struct txt_result *txt,
               const char *version)
{
    enum { SHOWN = 4 };
    char quote[CHECK_QUOTE_SIZE];

    note.status = CHECK_WARNING;
    note.reason = STS_OK;
    note.advice = NULL;
    for (size_t i = 0; i < txt->count && i < SHOWN; i++) {
        bool close = means_version(txt->records[i], version);
        check_add(r, &note, "%s%s: \"%s\"",
                  close ? "this record does not begin exactly with "
                        : "another TXT record stands here",
                  close ? version : "", check_quote(txt->records[i], quote));
    }
}

/* --- MTA-STS ---------------------------------------------------------------------------------- */

void
check_record_txt(struct check_report *r, const struct txt_result *txt)
{
    char name[CHECK_SUBJECT_SIZE], quote[CHECK_QUOTE_SIZE];
    struct check_note note = {.layer = CHECK_TXT, .subject = name};
    const char *fault;

    snprintf(name, sizeof name, "_mta-sts.%s", r->domain);
    if (failed(r, &note, txt))
        return;
    note.reason = txt->error == STS_OK ? txt_parse(txt->records, txt->count, r->id) : txt->error;
    note.status = note.reason == STS_OK ? CHECK_OK : CHECK_ERROR;
    switch (note.reason) {
    case STS_OK:
        check_add(r, &note, "one record, id=%s", r->id);
        break;
    case STS_SEVERAL_RECORDS:
        note.advice = "leave one: with several, senders see no policy (RFC 8461 s3.1)";
        check_add(r, &note, "more than one record begins with v=STSv1;");
        break;
    case STS_BAD_RECORD:
        fault = txt_fault(txt->records, txt->count);
        note.advice = "publish \"v=STSv1; id=SOMETHING;\", where SOMETHING is 1 to 32 letters and "
                      "digits";
        check_add(r, &note, "%s", fault != NULL ? fault : sts_error_text(note.reason));
        for (size_t i = 0; i < txt->count; i++) {
            if (!means_version(txt->records[i], "v=STSv1"))
                continue;
            note.advice = NULL;
            check_add(r, &note, "the record: \"%s\"", check_quote(txt->records[i], quote));
            break;
        }
        break;
    default:
        note.advice = "publish a TXT record \"v=STSv1; id=SOMETHING;\" there, once the policy file "
                      "is in place";
        check_add(r, &note, "no MTA-STS record: senders look for no policy");
        show_strangers(r, note, txt, "v=STSv1;");
    }
}

/* --- TLSRPT ----------------------------------------------------------------------------------- */

static bool
is_uri_byte(unsigned char c)
{
    return c >= 0x21 && c <= 0x7e && c != ',' && c != ';' && c != '!';
}

/* NULL, or what is wrong with one URI of `rua`. */
static const char *
fault_of_uri(struct span uri)
{
    struct scan s = scan_bytes(uri.at, uri.len), rest;
    bool mail;

    scan_while(&s, is_uri_byte, SIZE_MAX);
    if (uri.len == 0 || !scan_is_done(&s))
        return "rua holds no URI where one is wanted ('!' is written %21, ',' %2C, ';' %3B)";
    rest = scan_bytes(uri.at, uri.len);
    scan_until(&rest, ':');
    if (!scan_char(&rest, ':'))
        return "rua is not a URI (mailto:... or https://...)";
    mail = span_equal_nocase((struct span){uri.at, (size_t)(rest.at - uri.at)}, "mailto:");
    if (!mail && !span_equal_nocase((struct span){uri.at, (size_t)(rest.at - uri.at)}, "https:"))
        return "rua is neither mailto: nor https:, so nobody sends there";
    if (mail && (memchr(rest.at, '@', (size_t)(rest.end - rest.at)) == NULL || *rest.at == '/'))
        return "rua has no mail address behind mailto:";
    if (!mail && (!scan_word(&rest, "//") || scan_is_done(&rest)))
        return "rua has no host behind https:";
    return NULL;
}

/* One field of the record; sets `*rua` when it is one. NULL, or what is wrong. */
static const char *
fault_of_field(struct span field, bool *rua)
{
    struct scan s = scan_bytes(field.at, field.len);
    const char *fault;

    if (!scan_word(&s, "rua=")) {
        scan_until(&s, '=');
        return field.len > 0 && s.at > field.at && scan_char(&s, '=') && !scan_is_done(&s)
                   ? NULL
                   : "a field is not \"name=value\"";
    }
    *rua = true;
    do {
        fault = fault_of_uri(span_trim(scan_until(&s, ',')));
    } while (fault == NULL && scan_char(&s, ','));
    return fault;
}

/* A record that begins with "v=TLSRPTv1"; NULL, or what is wrong with it. */
static const char *
fault_of_tlsrpt(struct span record)
{
    struct scan s = scan_bytes(record.at, record.len);
    bool rua = false;

    scan_until(&s, ';');
    while (scan_char(&s, ';')) {
        struct span field = span_trim(scan_until(&s, ';'));
        const char *fault;

        if (field.len == 0 && scan_is_done(&s))
            break;
        fault = fault_of_field(field, &rua);
        if (fault != NULL)
            return fault;
    }
    return rua ? NULL : "rua is missing: it says where reports go";
}

/* As RFC 8460 s3 has it: those that do not begin with the version are not counted. */
static bool
is_tlsrpt(struct span record)
{
    struct scan s = scan_bytes(record.at, record.len);

    if (!scan_word(&s, "v=TLSRPTv1"))
        return false;
    scan_while(&s, ascii_is_blank, SIZE_MAX);
    return scan_char(&s, ';');
}

void
check_record_tlsrpt(struct check_report *r, const struct txt_result *txt)
{
    char name[CHECK_SUBJECT_SIZE], quote[CHECK_QUOTE_SIZE];
    struct check_note note = {.layer = CHECK_TLSRPT, .status = CHECK_WARNING, .subject = name};
    const struct span *record = NULL;
    const char *fault;
    size_t count = 0;

    snprintf(name, sizeof name, "_smtp._tls.%s", r->domain);
    if (failed(r, &note, txt))
        return;
    for (size_t i = 0; txt->error == STS_OK && i < txt->count; i++) {
        if (!is_tlsrpt(txt->records[i]))
            continue;
        record = &txt->records[i];
        count++;
    }
    note.advice = "publish one TXT record \"v=TLSRPTv1; rua=mailto:ADDRESS\" (RFC 8460): senders "
                  "report failures there";
    if (count == 0) {
        check_add(r, &note, "no TLSRPT record: nobody can tell the domain of failures");
        if (txt->error == STS_OK)
            show_strangers(r, note, txt, "v=TLSRPTv1;");
        return;
    }
    fault = count == 1 ? fault_of_tlsrpt(*record) : "more than one record begins with v=TLSRPTv1;";
    note.status = fault != NULL ? CHECK_WARNING : CHECK_OK;
    if (fault == NULL)
        note.advice = NULL;
    check_add(r, &note, "%s: \"%s\"", fault != NULL ? fault : "one record",
              check_quote(*record, quote));
}
