#include "milter/callbacks.h"

#include <libmilter/mfapi.h>
#include <libmilter/mfdef.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "milter/session.h"

/* libmilter's callbacks get no argument of ours: what they share stands here. */
static pthread_mutex_t rules_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rules *rules_in_force;
static int busy;

static char filter_name[] = "sts-milter";
static char header_name[] = "X-MTA-STS-Check";
static char macro_queue_id[] = "i";
static char macro_mailer[] = "{rcpt_mailer}";
static char macro_host[] = "{rcpt_host}";
static char macro_address[] = "{rcpt_addr}";
static char macros_at_rcpt[] = "i {rcpt_mailer} {rcpt_host} {rcpt_addr}";
static char macros_at_end[] = "i";

void
callbacks_set_rules(struct rules *next)
{
    struct rules *old;

    pthread_mutex_lock(&rules_lock);
    old = rules_in_force;
    rules_in_force = next;
    pthread_mutex_unlock(&rules_lock);
    rules_release(old);
}

/* A reference to the rules in force; give it back with rules_release. */
static struct rules *
current_rules(void)
{
    struct rules *rules;

    pthread_mutex_lock(&rules_lock);
    rules = rules_hold(rules_in_force);
    pthread_mutex_unlock(&rules_lock);
    return rules;
}

bool
callbacks_are_busy(void)
{
    return __atomic_load_n(&busy, __ATOMIC_ACQUIRE) > 0;
}

/* The session of a connection. After SMFIC_QUIT_NC a connection of the MTA goes on without a new
 * negotiation, and nothing is known of what was agreed then. */
static struct session *
session_of(SMFICTX *ctx)
{
    struct session *s = smfi_getpriv(ctx);

    if (!s) {
        s = session_new(false);
        smfi_setpriv(ctx, s);
    }
    return s;
}

static void
choose_macros(SMFICTX *ctx)
{
    if (smfi_setsymlist(ctx, SMFIM_ENVRCPT, macros_at_rcpt) != MI_SUCCESS ||
        smfi_setsymlist(ctx, SMFIM_EOM, macros_at_end) != MI_SUCCESS)
        log_debug("the macros could not be chosen, the MTA's own list applies");
}

/* Takes RCPT and the end of the message, which no MTA can leave out; CONNECT, without a reply, only
 * where clients are exempt. So an accepted message costs one exchange a recipient and one more. */
static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps, unsigned long f2,
             unsigned long f3, unsigned long *want_actions, unsigned long *want_steps,
             unsigned long *want_f2, unsigned long *want_f3)
{
    struct rules *rules = current_rules();
    const struct settings *settings = rules->settings;
    unsigned long useful = SMFIF_SETSYMLIST;
    unsigned long unwanted = SMFIP_NOHELO | SMFIP_NOMAIL | SMFIP_NODATA | SMFIP_NOHDRS |
                             SMFIP_NOEOH | SMFIP_NOBODY | SMFIP_NOUNKNOWN;

    (void)f2;
    (void)f3;
    if (settings->on_refuse == REFUSE_QUARANTINE)
        useful |= SMFIF_QUARANTINE;
    if (settings->add_header)
        useful |= SMFIF_ADDHDRS;
    unwanted |= settings->exempt_clients.count > 0 || !(steps & SMFIP_NOCONNECT) ? SMFIP_NR_CONN
                                                                                 : SMFIP_NOCONNECT;
    rules_release(rules);

    *want_actions = useful & actions;
    *want_steps = unwanted & steps;
    *want_f2 = *want_f3 = 0;
    if (actions & SMFIF_SETSYMLIST)
        choose_macros(ctx);
    smfi_setpriv(ctx, session_new((*want_actions & SMFIF_QUARANTINE) != 0));
    return SMFIS_CONTINUE;
}

static sfsistat
on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *client)
{
    struct rules *rules = current_rules();

    (void)host;
    session_set_client(session_of(ctx), rules, (const struct sockaddr *)client);
    rules_release(rules);
    return SMFIS_NOREPLY;
}

/* libmilter wants writable strings and changes none of them. */
static void
set_reply(SMFICTX *ctx, enum reply_action action, char *text)
{
    char code[4], enhanced[8];

    snprintf(code, sizeof code, "%s", reply_code(action));
    snprintf(enhanced, sizeof enhanced, "%s", reply_enhanced_code(action));
    if (smfi_setreply(ctx, code, enhanced, text) != MI_SUCCESS)
        log_warning("libmilter refused the reply \"%s\"", text);
}

static sfsistat
judge_recipient(SMFICTX *ctx, const char *address)
{
    struct recipient recipient = {
        .mailer = smfi_getsymval(ctx, macro_mailer),
        .host = smfi_getsymval(ctx, macro_host),
        .address = smfi_getsymval(ctx, macro_address),
        .queue_id = smfi_getsymval(ctx, macro_queue_id),
    };
    struct rules *rules = current_rules();
    char text[REPLY_TEXT_SIZE];
    enum reply_action action;

    if (!recipient.address || recipient.address[0] == '\0')
        recipient.address = address;
    action = session_recipient(session_of(ctx), rules, &recipient, text);
    rules_release(rules);
    switch (action) {
    case ACTION_ACCEPT:
    case ACTION_QUARANTINE: /* done at the end: the whole message is held */
        return SMFIS_CONTINUE;
    case ACTION_TEMPFAIL:
        set_reply(ctx, action, text);
        return SMFIS_TEMPFAIL;
    case ACTION_REJECT:
        set_reply(ctx, action, text);
        return SMFIS_REJECT;
    }
    return SMFIS_CONTINUE;
}

static sfsistat
on_recipient(SMFICTX *ctx, char **argv)
{
    sfsistat status;

    __atomic_add_fetch(&busy, 1, __ATOMIC_ACQ_REL);
    status = judge_recipient(ctx, argv[0]);
    __atomic_sub_fetch(&busy, 1, __ATOMIC_ACQ_REL);
    return status;
}

/* True when the message is held now. */
static bool
quarantine(SMFICTX *ctx, const char *why)
{
    char reason[REPLY_TEXT_SIZE];

    if (!why)
        return false;
    snprintf(reason, sizeof reason, "%s", why);
    return smfi_quarantine(ctx, reason) == MI_SUCCESS;
}

static sfsistat
on_end_of_message(SMFICTX *ctx)
{
    struct session *s = session_of(ctx);
    const char *why = session_quarantine_reason(s), *counts = session_header(s);
    bool is_held = quarantine(ctx, why);
    char header[200];

    if (counts) {
        snprintf(header, sizeof header, "%s", counts);
        if (smfi_addheader(ctx, header_name, header) != MI_SUCCESS)
            log_debug("the MTA takes no header");
    }
    session_end(s,
                why && !is_held ? END_ABORTED
                : is_held       ? END_QUARANTINED
                                : END_ACCEPTED,
                smfi_getsymval(ctx, macro_queue_id));
    return why && !is_held ? SMFIS_TEMPFAIL : SMFIS_CONTINUE;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
    session_end(session_of(ctx), END_ABORTED, smfi_getsymval(ctx, macro_queue_id));
    return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
    session_free(smfi_getpriv(ctx));
    smfi_setpriv(ctx, NULL);
    return SMFIS_CONTINUE;
}

static bool
register_filter(void)
{
    struct smfiDesc filter = {
        .xxfi_name = filter_name,
        .xxfi_version = SMFI_VERSION,
        .xxfi_flags = SMFIF_QUARANTINE | SMFIF_ADDHDRS | SMFIF_SETSYMLIST,
        .xxfi_connect = on_connect,
        .xxfi_envrcpt = on_recipient,
        .xxfi_eom = on_end_of_message,
        .xxfi_abort = on_abort,
        .xxfi_close = on_close,
        .xxfi_negotiate = on_negotiate,
    };

    return smfi_register(filter) == MI_SUCCESS;
}

static bool
open_socket(char *spec)
{
    return smfi_setconn(spec) == MI_SUCCESS && register_filter() &&
           smfi_opensocket(true) == MI_SUCCESS;
}

bool
callbacks_use_descriptor(int fd)
{
    char spec[32];

    snprintf(spec, sizeof spec, "fd:%d", fd);
    return open_socket(spec);
}

bool
callbacks_use_socket(const char *spec)
{
    char *copy = alloc_string(spec);
    bool is_open = open_socket(copy);

    free(copy);
    return is_open;
}

bool
callbacks_serve(int64_t timeout_ms)
{
    return smfi_settimeout((int)(timeout_ms / 1000)) == MI_SUCCESS && smfi_main() == MI_SUCCESS;
}
