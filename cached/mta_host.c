#include "cached/mta_host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cached/program.h"
#include "common/clock.h"

enum { OUTPUT_MAX = 64 * 1024 };

bool
mta_host_is_safe_path(const char *path)
{
    char folder[MTA_PATH_SIZE];
    struct stat st;
    char *slash;

    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return false;
    while ((slash = strrchr(folder, '/')) != NULL) {
        slash[slash == folder] = '\0'; /* "/" stays */
        if (stat(folder, &st) != 0 ? errno != ENOENT : (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
            return false;
        if (slash == folder)
            return true;
    }
    return false;
}

/* --- postconf --------------------------------------------------------------------------------- */

/* One printable line without its end; empty when it is anything else. */
static void
take_line(const struct buf *output, char *value, size_t size)
{
    const char *text = buf_string(output);
    size_t len = strcspn(text, "\n");

    value[0] = '\0';
    if (len >= size || output->len > len + 1)
        return;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e || text[i] == '"')
            return;
    }
    memcpy(value, text, len);
    value[len] = '\0';
}

/* False: nothing more needs to be asked of it. */
static bool
postconf(const char *option, const char *name, int64_t deadline_ms, char *value, size_t size)
{
    const char *const argv[] = {"postconf", option, name, NULL};
    enum program_status status;
    struct buf output;

    value[0] = '\0';
    buf_init(&output, OUTPUT_MAX);
    status = program_output(argv, deadline_ms, &output);
    if (status == PROGRAM_OK)
        take_line(&output, value, size);
    buf_done(&output);
    return status == PROGRAM_OK || status == PROGRAM_FAILED;
}

void
mta_host_read_postfix(struct mta_postfix *p)
{
    int64_t deadline_ms = clock_boot_ms() + MTA_HOST_TIMEOUT_MS;
    char chroot[MTA_VERSION_SIZE];

    if (!postconf("-h", "mail_version", deadline_ms, p->version, sizeof p->version) ||
        !postconf("-h", "smtp_dns_support_level", deadline_ms, p->dns_support,
                  sizeof p->dns_support) ||
        !postconf("-h", "smtp_tls_security_level", deadline_ms, p->security_level,
                  sizeof p->security_level) ||
        !postconf("-h", "queue_directory", deadline_ms, p->queue_directory,
                  sizeof p->queue_directory))
        return;
    if (p->queue_directory[0] != '/')
        p->queue_directory[0] = '\0';
    if (!postconf("-hF", "smtp/unix/chroot", deadline_ms, chroot, sizeof chroot))
        return;
    p->smtp_free = strcmp(chroot, "n") == 0;
    if (postconf("-hF", "smtp/inet/chroot", deadline_ms, chroot, sizeof chroot))
        p->smtpd_free = strcmp(chroot, "n") == 0;
}

/* --- sts-milter ------------------------------------------------------------------------------- */

static void
set_milter(struct mta_facts *f, const char *spec)
{
    struct sockspec parsed;
    char why[200];

    if (!sockspec_parse(spec, &parsed, why, sizeof why))
        return;
    f->milter_socket.spec = parsed;
    f->milter_socket.safe_path =
        sockspec_is_unix(&parsed) && mta_host_is_safe_path(sockspec_path(&parsed));
}

/* `name = "value"` or `name = value` at the start of a line. */
static bool
find_value(const char *text, const char *name, char *value, size_t size)
{
    size_t len = strlen(name);
    const char *line = text;

    while (line != NULL) {
        if (strncmp(line, name, len) == 0 && strncmp(line + len, " = ", 3) == 0) {
            const char *at = line + len + 3;
            at += *at == '"';
            snprintf(value, size, "%.*s", (int)strcspn(at, "\"\n"), at);
            return true;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return false;
}

void
mta_host_read_milter(struct mta_facts *f)
{
    static const char *const argv[] = {"sts-milter", "--print-config", NULL};
    char value[MTA_PATH_SIZE];
    struct buf output;

    set_milter(f, MTA_HOST_MILTER);
    buf_init(&output, OUTPUT_MAX);
    if (program_output(argv, clock_boot_ms() + MTA_HOST_TIMEOUT_MS, &output) == PROGRAM_OK) {
        if (find_value(buf_string(&output), "socket", value, sizeof value))
            set_milter(f, value);
        if (find_value(buf_string(&output), "role", value, sizeof value))
            f->milter_is_wall = strcmp(value, "wall") == 0;
    }
    buf_done(&output);
}
