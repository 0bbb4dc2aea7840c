/* bare_milter - a milter that asks for what sts-milter asks for, and lets everything pass. The
 * bench's yardstick for what a milter must cost.
 * usage: bare_milter SOCKET */
#include <libmilter/mfapi.h>
#include <stdio.h>
#include <sys/stat.h>

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps, unsigned long f2,
             unsigned long f3, unsigned long *want_actions, unsigned long *want_steps,
             unsigned long *want_f2, unsigned long *want_f3)
{
    static char rcpt_macros[] = "{rcpt_mailer} {rcpt_host} {rcpt_addr}", end_macros[] = "i";

    (void)f2, (void)f3;
    *want_actions = actions & (SMFIF_QUARANTINE | SMFIF_SETSYMLIST);
    *want_steps = steps & (SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NODATA |
                           SMFIP_NOHDRS | SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN);
    *want_f2 = *want_f3 = 0;
    if (actions & SMFIF_SETSYMLIST) {
        (void)smfi_setsymlist(ctx, SMFIM_ENVRCPT, rcpt_macros);
        (void)smfi_setsymlist(ctx, SMFIM_EOM, end_macros);
    }
    return SMFIS_CONTINUE;
}

static sfsistat
on_recipient(SMFICTX *ctx, char **argv)
{
    (void)ctx, (void)argv;
    return SMFIS_CONTINUE;
}

static sfsistat
on_end_of_message(SMFICTX *ctx)
{
    (void)ctx;
    return SMFIS_CONTINUE;
}

int
main(int argc, char **argv)
{
    static char name[] = "bare";
    struct smfiDesc filter = {.xxfi_name = name,
                              .xxfi_version = SMFI_VERSION,
                              .xxfi_flags = SMFIF_QUARANTINE | SMFIF_SETSYMLIST,
                              .xxfi_negotiate = on_negotiate,
                              .xxfi_envrcpt = on_recipient,
                              .xxfi_eom = on_end_of_message};

    umask(0);
    if (argc != 2 || smfi_setconn(argv[1]) != MI_SUCCESS || smfi_register(filter) != MI_SUCCESS) {
        fprintf(stderr, "usage: bare_milter SOCKET\n");
        return 1;
    }
    return smfi_main() == MI_SUCCESS ? 0 : 1;
}
