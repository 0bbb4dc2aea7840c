/* store_guard - leaves a mark when the process dies inside LMDB.
 * LMDB maps its file and trusts what it finds there: a damaged or cut file can kill the process by
 * a signal at any call. A thread says when it is inside; if SIGSEGV, SIGBUS, SIGFPE or SIGABRT hits
 * it there, the handler makes the file `suspect` beside the store, and the next start copies what
 * is sound into a new store. A crash elsewhere, or kill -9, leaves no mark. */
#ifndef STS_CACHED_STORE_GUARD_H
#define STS_CACHED_STORE_GUARD_H

#include <stddef.h>

/* Installs the handlers; `mark` (copied) is the path of the file to make. */
void store_guard_install(const char *mark);
/* Puts the former handlers back. */
void store_guard_remove(void);

/* Around each stay in LMDB; for the calling thread, not counted. */
void store_guard_enter(void);
void store_guard_leave(void);

/* Makes the mark without dying: LMDB itself found that its file makes no sense. Nothing happens
 * while no handlers are installed. */
void store_guard_mark(void);

#endif
