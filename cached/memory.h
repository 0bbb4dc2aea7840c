/* memory - has the libraries take theirs from alloc.
 * Each of them answers to a lack of memory in a way of its own, some with a crash and some with
 * what looks like the world's fault: so for them, too, it ends the program with one line in the
 * log. libldns and LMDB cannot be told; what they say without memory is a failure, never "no
 * record". */
#ifndef STS_CACHED_MEMORY_H
#define STS_CACHED_MEMORY_H

/* Call once, before anything else uses a library. */
void memory_prepare(void);

#endif
