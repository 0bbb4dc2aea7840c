/* redis_lab - a real redis-server of the test's own, on a unix socket in a directory of its own,
 * without any data when it starts. Where there is no redis-server the test fails. */
#ifndef STS_TESTS_REDIS_LAB_H
#define STS_TESTS_REDIS_LAB_H

struct redis_lab;

/* Starts it and waits until it answers. */
struct redis_lab *redis_lab_new(void);
/* Kills it, if it runs, and removes the directory. */
void redis_lab_free(struct redis_lab *);

/* Kills it (as kill -9 does); starts it again, empty, on the same socket. */
void redis_lab_kill(struct redis_lab *);
void redis_lab_start(struct redis_lab *);
/* It hangs, and goes on. */
void redis_lab_hang(struct redis_lab *);
void redis_lab_wake(struct redis_lab *);

/* "unix:/..."; the directory, where the test may keep files. */
const char *redis_lab_socket(const struct redis_lab *);
const char *redis_lab_directory(const struct redis_lab *);

/* Does one command (words up to NULL) and returns the reply as text: a number in digits, "" for
 * nil, the number of items for an array, the text of an error. Good until the next call. */
__attribute__((sentinel)) const char *redis_lab_do(struct redis_lab *, ...);
#endif
