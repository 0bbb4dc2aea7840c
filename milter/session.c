#include "milter/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/nexthop.h"
#include "milter/network.h"

enum { VERDICT_DOWN = VERDICT_UNKNOWN + 1, VERDICT_COUNT };
enum { PASSED_MAX = 8 };

/* A next hop that was found to be usable. */
struct passed {
    struct nexthop hop;
    enum verdict verdict;
    int64_t until_ms;
};

/* The message under way; `rules` NULL: none. */
struct message {
    struct rules *rules;
    int64_t budget_ms;
    unsigned recipients, asked, refused, deferred;
    unsigned verdicts[VERDICT_COUNT];
    struct passed passed[PASSED_MAX]; /* a ring */
    unsigned passed_count;
    char quarantine_reason[REPLY_TEXT_SIZE];
    char header[200];
};

struct session {
    char id[32];
    bool can_quarantine;
    bool is_exempt;
    struct message message;
};

/* What is to be done for one next hop, and how it is explained. */
struct judgement {
    enum reply_action action;
    char domain[DOMAIN_SIZE];
    const char *verdict, *reason; /* words for the log */
    char text[REPLY_TEXT_SIZE];
};

struct session *
session_new(bool can_quarantine)
{
    static unsigned long last;
    struct session *s = alloc_zero(1, sizeof *s);

    snprintf(s->id, sizeof s->id, "%ld.%lu", (long)getpid(),
             __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED));
    s->can_quarantine = can_quarantine;
    return s;
}

void
session_free(struct session *s)
{
    if (!s)
        return;
    session_end(s, END_ABORTED, NULL);
    free(s);
}

void
session_set_client(struct session *s, const struct rules *rules, const struct sockaddr *client)
{
    const struct conf_list *exempt = &rules->settings->exempt_clients;
    struct network net;

    s->is_exempt = false;
    for (size_t i = 0; client && i < exempt->count; i++)
        s->is_exempt |= network_parse(exempt->items[i], &net) && network_holds(&net, client);
}

static void
begin_message(struct message *m, struct rules *rules)
{
    if (m->rules)
        return;
    memset(m, 0, sizeof *m);
    m->rules = rules_hold(rules);
    m->budget_ms = rules->settings->wait_ms;
}

/* What stands behind the last @, without >; "" for a local address. */
static struct span
address_domain(const char *address)
{
    const char *at = strrchr(address, '@');
    struct span domain = {"", 0};

    if (at)
        domain = (struct span){at + 1, strcspn(at + 1, "> \t")};
    return domain;
}

/* The next hop as the MTA wrote it; when it does not say, the domain of the address. */
static struct span
hop_of(const struct recipient *r)
{
    if (r->host && r->host[0] != '\0')
        return (struct span){r->host, strlen(r->host)};
    return address_domain(r->address ? r->address : "");
}

/* An MTA that does not send {rcpt_mailer} at all cannot have told us that it is a local one. */
static bool
is_remote(const struct settings *settings, const struct recipient *r)
{
    return !r->mailer || r->mailer[0] == '\0' || settings_is_remote_mailer(settings, r->mailer);
}

static bool
needs_verdict(const struct settings *settings, const struct nexthop *hop)
{
    return (hop->kind == NEXTHOP_DOMAIN || hop->kind == NEXTHOP_HOST) &&
           !settings_is_exempt_domain(settings, hop->domain);
}

/* Has this message been told a moment ago that the next hop may be used? Counts that verdict. */
static bool
has_passed(struct message *m, const struct nexthop *hop)
{
    unsigned kept = m->passed_count < PASSED_MAX ? m->passed_count : PASSED_MAX;
    int64_t now_ms = clock_boot_ms();

    for (const struct passed *p = m->passed; p < m->passed + kept; p++)
        if (p->until_ms > now_ms && p->hop.kind == hop->kind &&
            strcmp(p->hop.domain, hop->domain) == 0) {
            m->verdicts[p->verdict]++;
            return true;
        }
    return false;
}

/* Not a verdict that may be another one in a moment (a `secure` too, when there was no time to look
 * at the MX hosts), nor one that has to be explained. */
static bool
is_worth_keeping(const struct answer_view *view)
{
    if (view->reason == STS_DEADLINE || view->reason == STS_OVERLOAD)
        return false;
    return view->verdict == VERDICT_NONE || view->verdict == VERDICT_TESTING ||
           view->verdict == VERDICT_SECURE || view->verdict == VERDICT_DANE;
}

static void
keep_passed(struct message *m, const struct nexthop *hop, enum verdict verdict)
{
    m->passed[m->passed_count++ % PASSED_MAX] =
        (struct passed){*hop, verdict, clock_boot_ms() + SESSION_VERDICT_MS};
}

/* Sees to a verdict on one next hop and fills `out`. */
static void
judge_hop(struct session *s, const struct nexthop *hop, struct judgement *out)
{
    struct message *m = &s->message;
    const struct settings *settings = m->rules->settings;
    struct answer_view view;
    bool answered;

    out->action = ACTION_ACCEPT;
    if (!needs_verdict(settings, hop))
        return;
    m->asked++;
    if (has_passed(m, hop))
        return;
    answered = asker_ask(m->rules->asker, hop, &m->budget_ms, &view);
    m->verdicts[answered ? (int)view.verdict : VERDICT_DOWN]++;
    out->action = reply_decide(settings, answered ? &view : NULL);
    if (out->action == ACTION_QUARANTINE && !s->can_quarantine)
        out->action = ACTION_TEMPFAIL;
    if (out->action != ACTION_ACCEPT) {
        snprintf(out->domain, sizeof out->domain, "%s", hop->domain);
        out->verdict = answered ? verdict_name(view.verdict) : "down";
        out->reason = answered ? sts_error_name(view.reason) : "no-answer";
        reply_text(out->action, hop->domain, answered ? &view : NULL, out->text);
    }
    if (answered && is_worth_keeping(&view))
        keep_passed(m, hop, view.verdict);
    if (answered)
        answer_view_done(&view);
}

/* Of several next hops one that passes is enough: the MTA may use it. */
static void
judge_hops(struct session *s, struct span hops, struct judgement *best)
{
    struct nexthop list[NEXTHOP_MAX];
    size_t count = nexthop_parse_list(hops.at, hops.len, list);

    best->action = ACTION_ACCEPT;
    for (size_t i = 0; i < count; i++) {
        struct judgement next;
        judge_hop(s, &list[i], &next);
        if (i == 0 || next.action < best->action)
            *best = next;
        if (best->action == ACTION_ACCEPT)
            return;
    }
}

static void
log_judgement(const struct session *s, const struct judgement *j, const char *queue_id,
              bool is_observed)
{
    log_info("recipient queue-id=%s session=%s domain=%s verdict=%s reason=%s %s=%s",
             queue_id && queue_id[0] != '\0' ? queue_id : "-", s->id, j->domain, j->verdict,
             j->reason, is_observed ? "observed" : "action", reply_action_name(j->action));
}

/* Counts what is not simply accepted, logs it, and says what is really done. */
static enum reply_action
carry_out(struct session *s, const struct judgement *j, const char *queue_id)
{
    struct message *m = &s->message;
    bool is_observed = m->rules->settings->mode == MODE_OBSERVE;

    if (j->action == ACTION_ACCEPT)
        return ACTION_ACCEPT;
    log_judgement(s, j, queue_id, is_observed);
    if (is_observed)
        return ACTION_ACCEPT;
    if (strcmp(j->verdict, "refuse") == 0)
        m->refused++;
    else
        m->deferred++;
    if (j->action == ACTION_QUARANTINE && m->quarantine_reason[0] == '\0')
        memcpy(m->quarantine_reason, j->text, sizeof m->quarantine_reason);
    return j->action;
}

enum reply_action
session_recipient(struct session *s, struct rules *rules, const struct recipient *recipient,
                  char text[REPLY_TEXT_SIZE])
{
    struct judgement best = {.action = ACTION_ACCEPT};
    enum reply_action action;

    begin_message(&s->message, rules);
    s->message.recipients++;
    if (!s->is_exempt && is_remote(s->message.rules->settings, recipient))
        judge_hops(s, hop_of(recipient), &best);
    action = carry_out(s, &best, recipient->queue_id);
    if (action == ACTION_TEMPFAIL || action == ACTION_REJECT)
        memcpy(text, best.text, REPLY_TEXT_SIZE);
    return action;
}

const char *
session_quarantine_reason(const struct session *s)
{
    return s->message.rules && s->message.quarantine_reason[0] != '\0'
               ? s->message.quarantine_reason
               : NULL;
}

const char *
session_header(struct session *s)
{
    struct message *m = &s->message;

    if (!m->rules || !m->rules->settings->add_header)
        return NULL;
    snprintf(
        m->header, sizeof m->header, "asked=%u none=%u testing=%u secure=%u refuse=%u undecided=%u",
        m->asked, m->verdicts[VERDICT_NONE], m->verdicts[VERDICT_TESTING],
        m->verdicts[VERDICT_SECURE] + m->verdicts[VERDICT_DANE], m->verdicts[VERDICT_REFUSE],
        m->verdicts[VERDICT_PENDING] + m->verdicts[VERDICT_UNKNOWN] + m->verdicts[VERDICT_DOWN]);
    return m->header;
}

static const char *
end_name(enum session_end end)
{
    static const char *const names[] = {
        [END_ACCEPTED] = "accepted",
        [END_QUARANTINED] = "quarantined",
        [END_ABORTED] = "aborted",
    };

    return names[end];
}

void
session_end(struct session *s, enum session_end end, const char *queue_id)
{
    struct message *m = &s->message;
    const unsigned *v = m->verdicts;

    if (!m->rules)
        return;
    log_info("message queue-id=%s session=%s rcpts=%u asked=%u refused=%u deferred=%u none=%u "
             "testing=%u secure=%u dane=%u refuse=%u pending=%u unknown=%u down=%u ms=%lld "
             "mode=%s end=%s",
             queue_id && queue_id[0] != '\0' ? queue_id : "-", s->id, m->recipients, m->asked,
             m->refused, m->deferred, v[VERDICT_NONE], v[VERDICT_TESTING], v[VERDICT_SECURE],
             v[VERDICT_DANE], v[VERDICT_REFUSE], v[VERDICT_PENDING], v[VERDICT_UNKNOWN],
             v[VERDICT_DOWN], (long long)(m->rules->settings->wait_ms - m->budget_ms),
             m->rules->settings->mode == MODE_OBSERVE ? "observe" : "enforce", end_name(end));
    rules_release(m->rules);
    m->rules = NULL;
}
