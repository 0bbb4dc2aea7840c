#include "cached/check_dane.h"

static size_t
count_state(const struct mx_result *mx, enum dane_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < mx->count; i++)
        count += mx->dane[i] == state;
    return count;
}

static void
judge_host(struct check_report *r, const struct mx_result *mx, size_t i)
{
    struct check_note note = {.layer = CHECK_DANE, .subject = mx->hosts[i]};

    switch (mx->dane[i]) {
    case DANE_USABLE:
        check_add(r, &note, "has TLSA records by which senders with DANE verify it");
        break;
    case DANE_NONE:
        if (count_state(mx, DANE_USABLE) == 0) {
            check_add(r, &note, "has no secure TLSA records");
            break;
        }
        note.status = CHECK_WARNING;
        note.advice = "publish TLSA records for it, in a signed zone";
        check_add(r, &note,
                  "has no secure TLSA records, while others have: mail that goes there "
                  "is not protected by DANE");
        break;
    case DANE_UNUSABLE:
        note.status = CHECK_WARNING;
        note.advice = "publish TLSA 3 1 1 with the SHA-256 digest of its public key";
        check_add(r, &note,
                  "none of its TLSA records is of use to mail senders: that takes usage "
                  "2 or 3, selector 0 or 1, and a digest of full length");
        break;
    case DANE_FAILED:
        note.status = count_state(mx, DANE_FAILED) == mx->count ? CHECK_ERROR : CHECK_WARNING;
        note.reason = mx->dane_error;
        note.advice = "see to the name servers and the DNSSEC signatures of the host's domain";
        check_add(r, &note,
                  "its addresses or TLSA records cannot be looked up: senders with DANE "
                  "do not deliver there");
        break;
    }
}

void
check_dane(struct check_report *r, const struct mx_result *mx, bool trusted)
{
    struct check_note note = {.layer = CHECK_DANE, .subject = r->domain};

    if (!trusted)
        check_add(r, &note, "not looked at: trust-ad is off in section dns of sts-cached.conf");
    else if (mx->error != STS_OK)
        check_add(r, &note, "not looked at: no MX host is known");
    else if (mx->dane == NULL)
        check_add(r, &note, "does not apply: the MX records are not signed with DNSSEC");
    else
        for (size_t i = 0; i < mx->count; i++)
            judge_host(r, mx, i);
}
