#include "cached/organisation.h"

#include <libpsl.h>
#include <stddef.h>

const char *
organisation_of(const char *domain)
{
    const char *registrable = psl_registrable_domain(psl_builtin(), domain);

    return registrable != NULL ? registrable : domain;
}
