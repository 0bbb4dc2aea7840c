#include "common/clock.h"

#include <stdbool.h>
#include <time.h>

static bool faked;
static int64_t fake_boot_ms, fake_wall_s;

int64_t
clock_boot_ms(void)
{
    struct timespec now;

    if (faked)
        return fake_boot_ms;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
clock_wall_s(void)
{
    return faked ? fake_wall_s : (int64_t)time(NULL);
}

uint32_t
clock_second_of(int64_t boot_ms)
{
    return (uint32_t)((boot_ms + SECOND_MS - 1) / SECOND_MS);
}

int64_t
clock_wall_of(int64_t boot_ms)
{
    return clock_wall_s() + (boot_ms - clock_boot_ms()) / SECOND_MS;
}

struct timeval
clock_timeval(int64_t ms)
{
    if (ms < 0)
        ms = 0;
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

void
clock_fake(int64_t boot_ms, int64_t wall_s)
{
    faked = true;
    fake_boot_ms = boot_ms;
    fake_wall_s = wall_s;
}
