#include "common/confcheck.h"

#include "common/daemon.h"
#include "common/sockspec.h"

const char *
confcheck_user(const char *value)
{
    unsigned uid, gid;

    return daemon_find_user(value, &uid, &gid) ? NULL : "there is no such user or group";
}

const char *
confcheck_group(const char *value)
{
    gid_t gid;

    return sockspec_group(value, &gid) ? NULL : "there is no such group";
}

const char *
confcheck_socket(const char *value)
{
    static __thread char why[128];
    struct sockspec spec;

    return sockspec_parse(value, &spec, why, sizeof why) ? NULL : why;
}
