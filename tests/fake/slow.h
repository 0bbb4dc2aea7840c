/* slow - how much slower than usual the program runs: under valgrind a time limit must be wider. */
#ifndef STS_TESTS_SLOW_H
#define STS_TESTS_SLOW_H

#include <stdlib.h>

/* The number in STS_TEST_SLOW; 1 without it. */
static inline int
slow_factor(void)
{
    const char *text = getenv("STS_TEST_SLOW");
    int factor = text != NULL ? atoi(text) : 1;

    return factor > 0 ? factor : 1;
}

#endif
