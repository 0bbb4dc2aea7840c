/* organisation - whose a domain is: the registrable domain by the list of public suffixes.
 * Whoever has registered evil.co.uk has all names below it for nothing, and none of the others
 * below co.uk. The list is the one that libpsl was built with: it is never read from a file and
 * never changes, so any thread may ask. */
#ifndef STS_CACHED_ORGANISATION_H
#define STS_CACHED_ORGANISATION_H

/* The registrable domain of a normalised domain, as the end of `domain` itself. A domain that is a
 * public suffix stands for itself. */
const char *organisation_of(const char *domain);

#endif
