#include "milter/reply.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"

static enum reply_action
doubt_action(int on_doubt)
{
    return on_doubt == DOUBT_TEMPFAIL ? ACTION_TEMPFAIL : ACTION_ACCEPT;
}

static enum reply_action
refuse_action(const struct settings *s, enum sts_error reason)
{
    static const enum reply_action actions[] = {
        [REFUSE_TEMPFAIL] = ACTION_TEMPFAIL,
        [REFUSE_REJECT] = ACTION_REJECT,
        [REFUSE_QUARANTINE] = ACTION_QUARANTINE,
    };

    /* A domain that takes no mail: the MTA's own 5.1.10 tells the sender so at once. */
    return reason == STS_NULL_MX ? ACTION_ACCEPT : actions[s->on_refuse];
}

enum reply_action
reply_decide(const struct settings *s, const struct answer_view *verdict)
{
    if (!verdict)
        return doubt_action(s->on_cache_down);
    switch (verdict->verdict) {
    case VERDICT_NONE:
    case VERDICT_TESTING:
    case VERDICT_SECURE:
    case VERDICT_DANE:
        return ACTION_ACCEPT;
    case VERDICT_REFUSE:
        return refuse_action(s, verdict->reason);
    case VERDICT_PENDING:
        return doubt_action(s->on_pending);
    case VERDICT_UNKNOWN:
        return doubt_action(s->on_unknown);
    }
    return doubt_action(s->on_unknown);
}

static bool
is_safe(char c)
{
    return ascii_is_alnum((unsigned char)c) || strchr(".-_*[]:", c) != NULL;
}

static void
add_safe(struct buf *b, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_add_char(b, bytes[i] != '\0' && is_safe(bytes[i]) ? bytes[i] : '?');
}

/* Adds as many of the names or patterns as leave the text below `max` bytes, "..." for the others.
 */
static void
add_patterns(struct buf *b, const char *patterns, size_t max)
{
    struct scan rest = scan_bytes(patterns, strlen(patterns));

    for (bool first = true; !scan_is_done(&rest); first = false) {
        struct span pattern = scan_until(&rest, ',');
        scan_char(&rest, ',');
        if (!first)
            buf_add_string(b, ", ");
        if (b->len + pattern.len + sizeof ", ..." > max) {
            buf_add_string(b, "...");
            return;
        }
        add_safe(b, pattern.at, pattern.len);
    }
}

/* Where the hosts' TLS is wrong they themselves are what their postmaster looks for, with what is
 * wrong at each if that is known. */
static const char *
list_for(const struct answer_view *verdict)
{
    if (verdict->reason != STS_PROBE_FAILED)
        return verdict->mx;
    if (verdict->probes != NULL)
        return verdict->probes;
    return verdict->hosts[0] != '\0' ? verdict->hosts : verdict->mx;
}

static void
add_refusal(struct buf *b, const struct answer_view *verdict, size_t tail)
{
    const char *list = list_for(verdict);
    const char *cause = verdict->reason == STS_PROBE_FAILED
                            ? ", and none of them offers TLS with a valid certificate"
                            : ", and none of its MX hosts is among them";

    buf_add_string(b, " accepts mail only at the hosts that its policy lists");
    if (list[0] != '\0' && b->len + tail + 40 < REPLY_TEXT_USUAL) {
        buf_add_string(b, " (");
        add_patterns(b, list, REPLY_TEXT_USUAL - tail - strlen(cause) - sizeof ")");
        buf_add_char(b, ')');
    }
    buf_add_string(b, cause);
}

static const char *
remedy(enum reply_action action, const struct answer_view *verdict)
{
    if (!verdict || verdict->verdict != VERDICT_REFUSE)
        return "; nothing is wrong with the message, please try again in a few minutes";
    if (verdict->reason == STS_PROBE_FAILED)
        return action == ACTION_REJECT
                   ? "; not accepted - its postmaster should see to the certificates"
                   : "; please try again later - its postmaster should see to the certificates";
    if (action == ACTION_REJECT)
        return "; not accepted - its postmaster should correct the policy or the MX records";
    return "; please try again later - its postmaster should correct the policy or the MX records";
}

void
reply_text(enum reply_action action, const char *domain, const struct answer_view *verdict,
           char text[REPLY_TEXT_SIZE])
{
    const char *what_to_do = remedy(action, verdict);
    struct buf b;

    buf_init(&b, REPLY_TEXT_SIZE - 1);
    buf_add_string(&b, "MTA-STS: ");
    if (verdict && verdict->verdict == VERDICT_REFUSE) {
        add_safe(&b, domain, strlen(domain));
        add_refusal(&b, verdict, strlen(what_to_do));
    } else {
        buf_add_string(&b, "the policy of ");
        add_safe(&b, domain, strlen(domain));
        if (!verdict)
            buf_add_string(&b, " cannot be looked up, the policy service does not answer");
        else if (verdict->verdict == VERDICT_PENDING)
            buf_add_string(&b, " is being fetched");
        else
            buf_printf(&b, " cannot be looked up, %s", sts_error_text(verdict->reason));
    }
    buf_add_string(&b, what_to_do);
    snprintf(text, REPLY_TEXT_SIZE, "%s", buf_string(&b));
    buf_done(&b);
}

const char *
reply_code(enum reply_action action)
{
    return action == ACTION_REJECT ? "550" : "451";
}

const char *
reply_enhanced_code(enum reply_action action)
{
    return action == ACTION_REJECT ? "5.7.5" : "4.7.5";
}

const char *
reply_action_name(enum reply_action action)
{
    static const char *const names[] = {
        [ACTION_ACCEPT] = "accept",
        [ACTION_TEMPFAIL] = "tempfail",
        [ACTION_QUARANTINE] = "quarantine",
        [ACTION_REJECT] = "reject",
    };

    return names[action];
}
