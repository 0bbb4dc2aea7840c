/* fill - writes a store with the policies of the first COUNT policy domains of the bench, as if
 * each had been fetched within the last hour; the refresh of the first DUE is due now, that of the
 * others in eleven hours or later. usage: fill STATE-DIRECTORY COUNT [DUE] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache_lmdb.h"
#include "common/clock.h"
#include "tests/bench/names.h"

enum { DAY_S = 86400, HOUR_S = 3600, BATCH = 2000 };

#define STORE_SIZE (INT64_C(4) << 30)

static void
put(struct store *store, unsigned number, bool is_due, int64_t now_s)
{
    char body[256];
    struct record record = {.kind = RECORD_POLICY, .id = NAMES_POLICY_ID, .seq = number + 1};
    int len;

    names_domain(NAMES_POLICY, number, record.domain);
    len = snprintf(body, sizeof body, "version: STSv1\nmode: enforce\nmx: mx.%s\nmax_age: 604800\n",
                   record.domain);
    record.body = (struct span){body, (size_t)len};
    record.fetched_s = now_s - number % HOUR_S;
    record.refresh_s = is_due ? now_s : record.fetched_s + DAY_S / 2 + number % (DAY_S * 2 / 5);
    record.asked_day = now_s / DAY_S;
    store_put(store, &record);
}

int
main(int argc, char **argv)
{
    char why[256];
    unsigned count, due;
    struct store *store;

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: fill STATE-DIRECTORY COUNT [DUE]\n");
        return 1;
    }
    count = (unsigned)strtoul(argv[2], NULL, 10);
    due = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    store = store_open(argv[1], STORE_SIZE, why, sizeof why);
    if (store == NULL) {
        fprintf(stderr, "fill: %s\n", why);
        return 1;
    }
    for (unsigned i = 0; i < count; i++) {
        put(store, i, i < due, clock_wall_s());
        if (i % BATCH == BATCH - 1)
            store_flush(store);
    }
    store_flush(store);
    store_close(store);
    return 0;
}
