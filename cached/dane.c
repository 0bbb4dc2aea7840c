#include "cached/dane.h"

enum { USAGE_TA = 2, USAGE_EE = 3, SELECTOR_MAX = 1 };
enum { MATCH_FULL, MATCH_SHA256, MATCH_SHA512 };
enum { SHA256_SIZE = 32, SHA512_SIZE = 64 };

const char *
dane_state_name(enum dane_state state)
{
    static const char *const names[] = {[DANE_NONE] = "none",
                                        [DANE_USABLE] = "usable",
                                        [DANE_UNUSABLE] = "unusable",
                                        [DANE_FAILED] = "failed"};

    return names[state];
}

bool
dane_is_usable(const struct dane_record *record)
{
    if ((record->usage != USAGE_TA && record->usage != USAGE_EE) || record->selector > SELECTOR_MAX)
        return false;
    switch (record->matching) {
    case MATCH_FULL:
        return record->data.len > 0;
    case MATCH_SHA256:
        return record->data.len == SHA256_SIZE;
    case MATCH_SHA512:
        return record->data.len == SHA512_SIZE;
    default:
        return false;
    }
}
