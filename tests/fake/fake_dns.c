#include "tests/fake/fake_dns.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dns {
    struct event_base *base;
};

struct dns_lookup {
    struct event *later;
    const struct fake_answer *found;
    dns_done_fn *done;
    void *arg;
};

const char *fake_dns_refusal;
static const struct fake_answer *answers;
static size_t answer_count;
static _Atomic int questions;

void
fake_dns_set(const struct fake_answer *table, size_t rows)
{
    answers = table;
    answer_count = rows;
}

int
fake_dns_questions(void)
{
    return questions;
}

struct dns *
dns_new(struct event_base *base, const struct settings *settings, char *why, size_t size)
{
    struct dns *dns;

    (void)settings;
    if (fake_dns_refusal != NULL) {
        snprintf(why, size, "%s", fake_dns_refusal);
        return NULL;
    }
    dns = alloc_zero(1, sizeof(*dns));
    dns->base = base;
    return dns;
}

void
dns_free(struct dns *dns)
{
    free(dns);
}

static const char zeros[64];

static void
fill(struct dns_record *record, enum dns_type type, const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (type == DNS_MX) {
        snprintf(record->host, sizeof(record->host), "%s", text);
    } else if (type == DNS_TXT) {
        record->text = (struct span){text, strlen(text)};
    } else if (type == DNS_TLSA) {
        if (sscanf(text, "%hhu %hhu %hhu %zu", &record->usage, &record->selector, &record->matching,
                   &record->text.len) != 4)
            abort();
        record->text.at = zeros;
    } else if (type == DNS_A) {
        inet_pton(AF_INET, text, &v4.sin_addr);
        memcpy(&record->address, &v4, sizeof(v4));
    } else if (type == DNS_AAAA) {
        inet_pton(AF_INET6, text, &v6.sin6_addr);
        memcpy(&record->address, &v6, sizeof(v6));
    }
}

static void
on_later(evutil_socket_t fd, short kind, void *arg)
{
    struct dns_lookup *lookup = arg;
    const struct fake_answer *found = lookup->found;
    struct dns_record records[FAKE_DNS_RECORDS] = {0};
    struct dns_answer answer = {.error = STS_DNS_BAD_REPLY, .why = "not in the test's table"};

    (void)fd, (void)kind;
    if (found != NULL) {
        answer.error = found->error;
        answer.why = sts_error_is_dns(found->error) ? "as the test wants" : "";
        answer.nxdomain = found->nxdomain;
        answer.ttl_s = found->ttl_s;
        answer.secure = found->secure;
        answer.records = records;
        snprintf(answer.end, sizeof(answer.end), "%s", found->end ? found->end : found->name);
        for (; answer.count < FAKE_DNS_RECORDS && found->records[answer.count].text;
             answer.count++) {
            records[answer.count].preference = found->records[answer.count].preference;
            fill(&records[answer.count], found->type, found->records[answer.count].text);
        }
    }
    lookup->done(&answer, lookup->arg);
    dns_lookup_cancel(lookup);
}

struct dns_lookup *
dns_lookup_start(struct dns *dns, const char *name, enum dns_type type, dns_done_fn *done,
                 void *arg)
{
    struct dns_lookup *lookup = alloc_zero(1, sizeof(*lookup));
    struct timeval delay = {0};

    questions++;
    lookup->done = done;
    lookup->arg = arg;
    for (size_t i = 0; i < answer_count; i++)
        if (strcmp(answers[i].name, name) == 0 && answers[i].type == type)
            lookup->found = &answers[i];
    if (lookup->found != NULL) {
        delay.tv_sec = lookup->found->delay_ms / 1000;
        delay.tv_usec = lookup->found->delay_ms % 1000 * 1000;
    }
    lookup->later = evtimer_new(dns->base, on_later, lookup);
    evtimer_add(lookup->later, &delay);
    return lookup;
}

void
dns_lookup_cancel(struct dns_lookup *lookup)
{
    if (lookup == NULL)
        return;
    event_free(lookup->later);
    free(lookup);
}
