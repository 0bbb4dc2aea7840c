#include "cached/fetch_reply.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/policy.h"
#include "common/scan.h"

void
fetch_reply_init(struct fetch_reply *reply)
{
    *reply = (struct fetch_reply){.error = STS_OK};
    buf_init(&reply->body, POLICY_BODY_MAX);
}

void
fetch_reply_done(struct fetch_reply *reply)
{
    buf_done(&reply->body);
}

__attribute__((format(printf, 3, 4))) static bool
refuse(struct fetch_reply *reply, enum sts_error error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(reply->detail, sizeof(reply->detail), format, args);
    va_end(args);
    reply->error = error;
    return false;
}

static bool
take_status_line(struct fetch_reply *reply, struct span line)
{
    struct scan at = scan_bytes(line.at, line.len);
    uint64_t status;

    scan_until(&at, ' ');
    while (scan_char(&at, ' '))
        continue;
    if (!scan_number(&at, 3, &status))
        return refuse(reply, STS_HTTP_STATUS, "no HTTP status line");
    reply->status = (int)status;
    reply->in_head = true;
    reply->has_type = reply->is_encoded = reply->is_chunked = false;
    reply->type_is_plain = true;
    return true;
}

/* The blank line: of an interim reply, of which nothing counts, or of the one that we want. */
static bool
end_head(struct fetch_reply *reply)
{
    int status = reply->status;

    reply->in_head = false;
    if (status >= 100 && status < 200 && status != 101) /* 101: no reply will follow */
        return true;
    reply->head_done = true;
    if (status >= 300 && status < 400)
        return refuse(reply, STS_HTTP_REDIRECT, "HTTP status %d", status);
    if (status != 200)
        return refuse(reply, STS_HTTP_STATUS, "HTTP status %d", status);
    if (!reply->has_type)
        return refuse(reply, STS_HTTP_TYPE, "no Content-Type");
    if (!reply->type_is_plain)
        return refuse(reply, STS_HTTP_TYPE, "Content-Type is not text/plain");
    if (reply->is_encoded)
        return refuse(reply, STS_HTTP_TYPE, "the body is encoded, which was not asked for");
    return true;
}

static struct span
trim(struct span s)
{
    while (s.len && ascii_is_blank((unsigned char)s.at[0]))
        s.at++, s.len--;
    while (s.len && ascii_is_blank((unsigned char)s.at[s.len - 1]))
        s.len--;
    return s;
}

static bool
is_plain_text(struct span value)
{
    struct scan at = scan_bytes(value.at, value.len);

    return span_equal_nocase(trim(scan_until(&at, ';')), "text/plain");
}

static void
take_field(struct fetch_reply *reply, struct span line)
{
    struct scan at = scan_bytes(line.at, line.len);
    struct span name = scan_until(&at, ':');
    struct span value;

    scan_char(&at, ':');
    value = trim((struct span){at.at, (size_t)(at.end - at.at)});
    if (span_equal_nocase(name, "content-type")) {
        reply->has_type = true;
        reply->type_is_plain &= is_plain_text(value);
    } else if (span_equal_nocase(name, "content-encoding")) {
        reply->is_encoded |= value.len && !span_equal_nocase(value, "identity");
    } else if (span_equal_nocase(name, "transfer-encoding")) {
        reply->is_chunked = span_equal_nocase(value, "chunked");
        reply->is_encoded |= !reply->is_chunked;
    }
}

bool
fetch_reply_take_line(struct fetch_reply *reply, const char *line, size_t len)
{
    struct span text = {line, len};

    reply->head_bytes += len;
    if (reply->head_bytes > FETCH_HEAD_MAX)
        return refuse(reply, STS_TOO_LARGE, "more than %d bytes of HTTP headers", FETCH_HEAD_MAX);
    if (reply->head_done)
        return true; /* trailers tell us nothing */
    while (text.len && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
        text.len--;
    if (!reply->in_head)
        return take_status_line(reply, text);
    if (text.len == 0)
        return end_head(reply);
    take_field(reply, text);
    return true;
}

bool
fetch_reply_take_body(struct fetch_reply *reply, const char *bytes, size_t len)
{
    buf_add(&reply->body, bytes, len);
    if (buf_failed(&reply->body))
        return refuse(reply, STS_TOO_LARGE, "the body is longer than %d bytes", POLICY_BODY_MAX);
    return true;
}
