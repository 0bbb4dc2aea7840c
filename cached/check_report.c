#include "cached/check_report.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

enum { ESCAPE_LEN = 4 }; /* "\xNN" */

void
check_report_init(struct check_report *r, const char *domain)
{
    *r = (struct check_report){.has_policy = false};
    snprintf(r->domain, sizeof r->domain, "%s", domain);
}

void
check_report_done(struct check_report *r)
{
    for (int layer = 0; layer < CHECK_LAYERS; layer++) {
        for (size_t i = 0; i < r->layers[layer].count; i++) {
            free(r->layers[layer].lines[i].subject);
            free(r->layers[layer].lines[i].text);
        }
        free(r->layers[layer].lines);
    }
    *r = (struct check_report){.has_policy = false};
}

/* --- text ------------------------------------------------------------------------------------- */

/* Writes printable ASCII, cut with "..." where `size` is too small. */
static const char *
escape(struct span bytes, char *out, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.at[i];
        if (used + ESCAPE_LEN + sizeof "..." > size) {
            strcpy(out + used, "...");
            return out;
        }
        if (c >= 0x20 && c <= 0x7e)
            out[used++] = (char)c;
        else
            used += (size_t)snprintf(out + used, ESCAPE_LEN + 1, "\\x%02X", c);
    }
    out[used] = '\0';
    return out;
}

const char *
check_quote(struct span bytes, char out[CHECK_QUOTE_SIZE])
{
    return escape(bytes, out, CHECK_QUOTE_SIZE);
}

static char *
clean_copy(const char *s, size_t size)
{
    char *copy = alloc_bytes(size);

    escape((struct span){s, strlen(s)}, copy, size);
    return copy;
}

const char *
check_advice_on_dns(enum sts_error error, const char *otherwise)
{
    return error == STS_DNS_TIMEOUT ? "see whether this host's resolver, named here, runs and "
                                      "answers; if it does, to the "
                                      "domain's name servers"
                                    : otherwise;
}

/* --- lines ------------------------------------------------------------------------------------ */

static enum exitcode
exit_of_note(const struct check_note *note)
{
    if (note->exit_code != EXIT_DONE)
        return note->exit_code;
    if (note->status != CHECK_ERROR)
        return EXIT_DONE;
    return note->reason == STS_OK
               ? EXIT_AT_FAULT
               : exitcode_of_verdict(VERDICT_NONE, note->reason, note->http_status);
}

void
check_add(struct check_report *r, const struct check_note *note, const char *format, ...)
{
    char text[CHECK_TEXT_SIZE];
    struct check_line *line;
    va_list args;

    if (r->layers[note->layer].count == CHECK_LAYER_MAX) {
        r->layers[note->layer].dropped++;
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (r->layers[note->layer].lines == NULL)
        r->layers[note->layer].lines = alloc_zero(CHECK_LAYER_MAX, sizeof *line);
    line = &r->layers[note->layer].lines[r->layers[note->layer].count++];
    *line = (struct check_line){
        .status = note->status,
        .exit_code = exit_of_note(note),
        .reason = note->reason,
        .advice = note->advice,
        .expires_s = note->expires_s,
        .subject = clean_copy(note->subject != NULL ? note->subject : "", CHECK_SUBJECT_SIZE),
        .text = clean_copy(text, CHECK_TEXT_SIZE)};
}

bool
check_has_error(const struct check_report *r, enum check_layer layer)
{
    for (size_t i = 0; i < r->layers[layer].count; i++) {
        if (r->layers[layer].lines[i].status == CHECK_ERROR)
            return true;
    }
    return false;
}

static void
soften(struct check_report *r, enum check_layer layer)
{
    for (size_t i = 0; i < r->layers[layer].count; i++) {
        struct check_line *line = &r->layers[layer].lines[i];
        if (line->status == CHECK_ERROR)
            line->status = CHECK_WARNING;
        line->exit_code = EXIT_DONE;
    }
}

void
check_report_settle(struct check_report *r)
{
    bool record = !check_has_error(r, CHECK_TXT);
    bool enforced = record && r->has_policy && r->mode == POLICY_MODE_ENFORCE;

    if (!record) {
        soften(r, CHECK_FETCH);
        soften(r, CHECK_POLICY);
    }
    if (!enforced) {
        soften(r, CHECK_MX);
        soften(r, CHECK_TLS);
        soften(r, CHECK_DANE);
    }
    soften(r, CHECK_TLSRPT); /* mail does not rest on reports */
}

enum check_status
check_worst(const struct check_report *r)
{
    enum check_status worst = CHECK_OK;

    for (int layer = 0; layer < CHECK_LAYERS; layer++) {
        for (size_t i = 0; i < r->layers[layer].count; i++) {
            if (r->layers[layer].lines[i].status > worst)
                worst = r->layers[layer].lines[i].status;
        }
    }
    return worst;
}

enum exitcode
check_exit(const struct check_report *r)
{
    enum exitcode worst = EXIT_DONE;

    for (int layer = 0; layer < CHECK_LAYERS; layer++) {
        for (size_t i = 0; i < r->layers[layer].count; i++) {
            if (r->layers[layer].lines[i].exit_code > worst)
                worst = r->layers[layer].lines[i].exit_code;
        }
    }
    return worst;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static const char *const layer_names[CHECK_LAYERS] = {
    [CHECK_TXT] = "txt", [CHECK_FETCH] = "fetch", [CHECK_POLICY] = "policy", [CHECK_MX] = "mx",
    [CHECK_TLS] = "tls", [CHECK_DANE] = "dane",   [CHECK_TLSRPT] = "tlsrpt"};
static const char *const status_names[] = {
    [CHECK_OK] = "ok", [CHECK_WARNING] = "warning", [CHECK_ERROR] = "error"};

static json_t *
string_or_null(const char *s)
{
    return s == NULL || s[0] == '\0' ? json_null() : json_string(s);
}

static json_t *
line_object(enum check_layer layer, const struct check_line *line)
{
    return json_pack("{ss ss so so ss so so}", "layer", layer_names[layer], "status",
                     status_names[line->status], "subject", string_or_null(line->subject), "reason",
                     line->reason == STS_OK && line->status != CHECK_OK
                         ? json_null()
                         : json_string(sts_error_name(line->reason)),
                     "text", line->text, "advice", string_or_null(line->advice), "expires",
                     line->expires_s != 0 ? json_integer(line->expires_s) : json_null());
}

static json_t *
dropped_object(enum check_layer layer, size_t dropped)
{
    char text[80];

    snprintf(text, sizeof text, "%zu more lines are not shown", dropped);
    return json_pack("{ss ss sn sn ss sn sn}", "layer", layer_names[layer], "status", "warning",
                     "subject", "reason", "text", text, "advice", "expires");
}

void
check_report_json(const struct check_report *r, struct buf *out)
{
    json_t *lines = json_array(), *object;
    char *text;

    for (enum check_layer layer = CHECK_TXT; layer < CHECK_LAYERS; layer++) {
        for (size_t i = 0; i < r->layers[layer].count; i++)
            json_array_append_new(lines, line_object(layer, &r->layers[layer].lines[i]));
        if (r->layers[layer].dropped > 0)
            json_array_append_new(lines, dropped_object(layer, r->layers[layer].dropped));
    }
    object = json_pack("{ss ss so so so so si}", "domain", r->domain, "status",
                       status_names[check_worst(r)], "id", string_or_null(r->id), "mode",
                       string_or_null(r->has_policy ? policy_mode_name(r->mode) : NULL), "max_age",
                       r->has_policy ? json_integer(r->max_age_s) : json_null(), "checks", lines,
                       "exit", (int)check_exit(r));
    text = json_dumps(object, JSON_COMPACT);
    buf_add_string(out, text);
    free(text);
    json_decref(object);
}
