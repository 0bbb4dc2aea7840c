/* clock - the two times that we use, in one place so that tests can turn the hands.
 * Waiting and expiry inside a process run on the boot clock, which no operator sets and which
 * goes on while the machine sleeps; what is written to disk or shown to people is wall time. */
#ifndef STS_COMMON_CLOCK_H
#define STS_COMMON_CLOCK_H

#include <stdint.h>
#include <sys/time.h>

#define SECOND_MS INT64_C(1000)

/* Milliseconds since boot (CLOCK_BOOTTIME); never goes back. */
int64_t clock_boot_ms(void);
/* Seconds since 1970 (CLOCK_REALTIME); may step either way. */
int64_t clock_wall_s(void);

/* The boot time in seconds, rounded up: nothing that has to last ends early. */
uint32_t clock_second_of(int64_t boot_ms);

/* The wall time at a boot time, as both clocks go now. */
int64_t clock_wall_of(int64_t boot_ms);

/* A wait, as event loops want it; nothing for a negative one. */
struct timeval clock_timeval(int64_t ms);

/* For tests: from now on the clocks stand at these values until set again. */
void clock_fake(int64_t boot_ms, int64_t wall_s);

#endif
