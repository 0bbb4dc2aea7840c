divert(-1)
dnl sts_milter.m4 - Sendmail 8.17.1 or later enforces MTA-STS (RFC 8461) with sts-milter and sts-cached.
dnl
dnl   FEATURE(`sts_milter')
dnl   FEATURE(`sts_milter', `cache socket', `milter socket', `gate' or `wall')
dnl
dnl in the .mc file before MAILER(); the README beside this file says how to make it known to m4.
dnl Defaults: `unix:/run/sts-cached/query.sock', `unix:/run/sts-milter/milter.sock', `gate'; the milter
dnl socket `none' leaves the milter out. To be defined before it, where there are smart hosts:
dnl
dnl   define(`confSTS_EXEMPT_HOSTS', `smart.example.com relay2.example.com')
dnl   define(`confSTS_EXEMPT_FILE', `/etc/mail/sts-exempt')      one host a line, may be absent
dnl
dnl The stock FEATURE(`sts') does the look-ups. What is added, each against a hole in it:
dnl   - its certificate check holds for the first recipient of a transaction only: here every
dnl     recipient needs a verified certificate (Local_tls_rcpt);
dnl   - a connection opened for a domain without a policy is used again for one with a policy, and the
dnl     names of certificates are mixed up between cached connections: no connection is cached;
dnl   - a list of MX patterns above 255 bytes is cut by Sendmail: the daemon is asked about the MX
dnl     itself as well (map stsmx, STS_mx);
dnl   - a wildcard certificate is never accepted: STS_SAN is replaced;
dnl   - an MX that is not listed or has another's certificate makes the message wait though the next
dnl     MX is good: that is checked before RCPT too (Local_tls_server);
dnl   - a domain that is a CNAME gives way to its target and the target's policy: an attacker in the DNS
dnl     could lead away any domain so; the recipient's own domain counts (RFC 8461 s3.1);
dnl   - a smart host is measured by the recipient's policy: class {StsExempt} lets it pass.
define(`_STS_CACHE_', ifelse(defn(`_ARG_'), `', `unix:/run/sts-cached/query.sock', `_ARG_'))
define(`_STS_MILTER_', ifelse(_ARG2_, `', `unix:/run/sts-milter/milter.sock', `_ARG2_'))
define(`_STS_ROLE_', ifelse(_ARG3_, `', `gate', `_ARG3_'))
ifelse(_STS_ROLE_, `gate', `', _STS_ROLE_, `wall', `',
	`errprint(`*** ERROR: FEATURE(sts_milter): the role is `gate' or `wall', not '_STS_ROLE_
)')
dnl FEATURE overwrites the arguments: only our own macros from here on.
FEATURE(`sts', `socket -d5 -T<TMPF> '_STS_CACHE_, `NO_SAN_TST')
define(`confMCI_CACHE_SIZE', `0')
define(`confDONT_EXPAND_CNAMES', `True')
ifdef(`confMILTER_MACROS_ENVRCPT', `', `define(`confMILTER_MACROS_ENVRCPT', `{rcpt_mailer}, {rcpt_host}, {rcpt_addr}')')
dnl In a gate the rules below enforce: a dead milter must not stop mail. In a wall it must.
ifelse(_STS_MILTER_, `none', `',
	_STS_ROLE_, `wall', `INPUT_MAIL_FILTER(`sts-milter', `S='_STS_MILTER_`, F=T, T=C:5s;S:10s;R:40s;E:1m')',
	`INPUT_MAIL_FILTER(`sts-milter', `S='_STS_MILTER_`, T=C:5s;S:10s;R:40s;E:1m')')
define(`_LOCAL_TLS_SERVER_')
define(`_LOCAL_TLS_RCPT_')

LOCAL_CONFIG
O SetCertAltnames=true
Kstsmx socket -d5 -T<TMPF> _STS_CACHE_
C{StsExempt}ifdef(`confSTS_EXEMPT_HOSTS', ` confSTS_EXEMPT_HOSTS', `')
ifdef(`confSTS_EXEMPT_FILE', `F{StsExempt}-o confSTS_EXEMPT_FILE %[^\#]', `dnl')

LOCAL_RULESETS
######################################################################
###  STS_SAN: does the certificate bear the name of the server?
###	(RFC 8461 s4.2: a DNS-ID, a wildcard for one label only)
######################################################################
SSTS_SAN
R$*			$: $&{server_name}
R$+.			$: $1
R$={cert_altnames}	$@ ok
R$-.$+			$: *.$2
R$={cert_altnames}	$@ ok
R$*			$#error $@ 4.7.5 $: 450 $&{server_name} is not named in its certificate

######################################################################
###  STS_mx: may this server take mail for the recipient's domain?
###	(asked with domain/server; whatever is no clear yes is no)
######################################################################
SSTS_mx
R$*			$: $&{rcpt_addr}
R $*			$: $1
dnl no {rcpt_addr}: not a delivery under STS
R$@			$@ ok
R$*@$+			$2
R$+.			$1
R$*			$: $1/$&{server_name}
R$+.			$1
R$*			$: $(stsmx $1 $: BAD $)
R$* <TMPF>		$#error $@ 4.7.0 $: 450 MTA-STS policy service unavailable
Rok			$@ ok
R$*			$#error $@ 4.7.5 $: 450 $&{server_name} is not an MX in the MTA-STS policy

######################################################################
###  STS_exempt: takes STS off the present connection when no policy binds its host. Without
###	{rcpt_addr} the stock rules check nothing, while the access map (TLS_Srv, TLS_Rcpt) still
###	holds; Sendmail sets it anew for the next recipient and the next connection. The flag M of
###	clt_features is meant for this and has no effect in 8.17.1.
######################################################################
SSTS_exempt
R$*			$: $&{server_name}
R$+.			$: $1
R$={StsExempt}		$: $(macro {rcpt_addr} $)

######################################################################
###  The stock checks hold for the first recipient only: these are made for each.
######################################################################
SLocal_tls_server
R$*			$: $1 $| $>"STS_exempt" $1
R$* $| $*		$: $1
dnl What fails here, right after the handshake, makes Sendmail try the next MX; what fails at RCPT, where
dnl the stock rules look at list and names, makes the message wait.
R$*			$: $1 $| $>"STS_secure" $1
R$* $| $#$*		$#$2
R$*			$: $1 $| $>"STS_Check" $&{rcpt_addr}
R$* $| $#$*		$#$2
R$* $| $*		$: $1

SLocal_tls_rcpt
R$*			$: $1 $| $>"STS_exempt" $1
R$* $| $*		$: $1
R$*			$: $1 $| $>"STS_secure" $&{verify}
R$* $| $#$*		$#$2
R$* $| $*		$: $1
R$*			$: $1 $| $>"STS_mx" $1
R$* $| $#$*		$#$2
R$* $| $*		$: $1
divert(-1)
