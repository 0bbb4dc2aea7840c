/* confvalue - one option of a settings struct: written from text, printed, compared, copied, freed.
 * The one place that knows what the types of conffile.h look like. */
#ifndef STS_COMMON_CONFVALUE_H
#define STS_COMMON_CONFVALUE_H

#include "common/conffile.h"

/* Sets the field of `row` from the texts that were written for it: exactly one, any number for a
 * list. The field must be empty. False: `why` says what is wrong and what would be right, and the
 * field may hold something to free. */
MUST_CHECK bool confvalue_set(const struct conf_option *row, const struct conf_list *texts,
                              void *settings, char *why, size_t size);
/* Sets it from the row's `defaults`; these are ours, so they must be right. */
void confvalue_set_default(const struct conf_option *row, void *settings);
void confvalue_free(const struct conf_option *row, void *settings);

/* Writes the value as it would be written in a file. */
void confvalue_print(const struct conf_option *row, const void *settings, FILE *out);

bool confvalue_is_equal(const struct conf_option *row, const void *a, const void *b);
/* Replaces the value in `to` by a copy of that in `from`. */
void confvalue_copy(const struct conf_option *row, const void *from, void *to);

/* Lists by themselves: items are copied. */
void conf_list_add(struct conf_list *, const char *item);
void conf_list_done(struct conf_list *);

#endif
