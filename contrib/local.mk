# Examples and set-up scripts; the tests use them as they stand.
EXTRA_DIST += contrib/check contrib/install-deps contrib/quickstart contrib/fuzz contrib/bench contrib/matrix contrib/valgrind .ci/run

# --- sendmail: the feature and the sample configuration ---
sendmaildir = $(pkgdatadir)/sendmail
dist_sendmail_DATA = contrib/sendmail/sts_milter.m4 contrib/sendmail/sendmail.mc contrib/sendmail/README.md

# --- exim: the pieces and the sample configuration ---
eximdir = $(pkgdatadir)/exim
dist_exim_DATA = contrib/exim/README.md contrib/exim/exim.conf contrib/exim/sts_milter.acl contrib/exim/sts_milter.main \
	contrib/exim/sts_milter.routers contrib/exim/sts_milter.transport

# --- postfix: lines for main.cf ---
postfixdir = $(pkgdatadir)/postfix
dist_postfix_DATA = contrib/postfix/README.md contrib/postfix/sts.cf contrib/postfix/sts-tlsrpt.cf \
	contrib/postfix/milter.cf

# --- redis: a server, its users and Sentinels for a farm ---
redisdir = $(pkgdatadir)/redis
dist_redis_DATA = contrib/redis/README.md contrib/redis/sts-cached.conf contrib/redis/users.acl \
	contrib/redis/redis.conf contrib/redis/sentinel.conf

# --- systemd: units that allow the least ---
systemddir = $(pkgdatadir)/systemd
dist_systemd_DATA = contrib/systemd/README.md contrib/systemd/sts-cached.socket contrib/systemd/sts-milter.socket \
	contrib/systemd/sts-milter.sysusers contrib/systemd/sts-milter.tmpfiles
systemd_DATA = contrib/systemd/sts-cached.service contrib/systemd/sts-milter.service
EXTRA_DIST += contrib/systemd/sts-cached.service.in contrib/systemd/sts-milter.service.in
CLEANFILES += $(systemd_DATA)
$(systemd_DATA): Makefile
	$(AM_V_GEN)$(MKDIR_P) contrib/systemd && \
		sed 's|@sbindir[@]|$(sbindir)|' '$(srcdir)/$@.in' >$@.new && mv $@.new $@
contrib/systemd/sts-cached.service: contrib/systemd/sts-cached.service.in
contrib/systemd/sts-milter.service: contrib/systemd/sts-milter.service.in
