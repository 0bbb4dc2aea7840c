#include "common/chance.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/log.h"

void
chance_bytes(void *out, size_t len)
{
    ssize_t got;

    do
        got = getrandom(out, len, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 || (size_t)got != len) {
        log_errno("the kernel gives no random bytes");
        abort();
    }
}

uint64_t
chance_below(uint64_t count)
{
    uint64_t dice;

    chance_bytes(&dice, sizeof dice);
    return dice % count;
}
