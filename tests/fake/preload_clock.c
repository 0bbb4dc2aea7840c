/* preload_clock - a wall clock that a test sets while a program runs (LD_PRELOAD).
 * The file named in PRELOAD_CLOCK holds 8 bytes: the seconds, in the machine's order, by which
 * CLOCK_REALTIME is wrong; they are read anew each time. All other clocks stay as they are, as when
 * an operator or NTP sets the time. */
#include <dlfcn.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#include "preload.h"

static const volatile int64_t *wrong_by;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void
begin(void)
{
    void *map = preload_map("PRELOAD_CLOCK", sizeof *wrong_by);

    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    wrong_by = map;
}

int
clock_gettime(clockid_t id, struct timespec *now)
{
    int result;

    if (wrong_by == NULL) /* before begin */
        *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    result = real_clock_gettime(id, now);
    if (wrong_by != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += *wrong_by;
    return result;
}

time_t
time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}

int
gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
