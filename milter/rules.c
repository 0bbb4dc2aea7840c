#include "milter/rules.h"

#include <assert.h>
#include <stdlib.h>

#include "common/sockspec.h"

struct rules *
rules_new(struct settings *settings)
{
    struct rules *rules = alloc_zero(1, sizeof *rules);
    struct sockspec cache;
    char why[128];
    bool is_valid = sockspec_parse(settings->cache, &cache, why, sizeof why);

    assert(is_valid); /* the settings' own check */
    (void)is_valid;
    rules->settings = settings;
    rules->asker = asker_new(&cache);
    rules->holders = 1;
    return rules;
}

struct rules *
rules_hold(struct rules *rules)
{
    __atomic_add_fetch(&rules->holders, 1, __ATOMIC_RELAXED);
    return rules;
}

void
rules_release(struct rules *rules)
{
    if (!rules || __atomic_sub_fetch(&rules->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    asker_free(rules->asker);
    settings_free(rules->settings);
    free(rules);
}
