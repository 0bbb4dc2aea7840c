# Examples and set-up scripts; the tests use them as they stand.
EXTRA_DIST += contrib/check contrib/install-deps contrib/quickstart .ci/run

# --- sendmail: the feature and the sample configuration ---
sendmaildir = $(pkgdatadir)/sendmail
dist_sendmail_DATA = contrib/sendmail/sts_milter.m4 contrib/sendmail/sendmail.mc contrib/sendmail/README.md

# --- exim: the pieces and the sample configuration ---
eximdir = $(pkgdatadir)/exim
dist_exim_DATA = contrib/exim/exim.conf contrib/exim/sts_milter.acl contrib/exim/sts_milter.main \
	contrib/exim/sts_milter.routers contrib/exim/sts_milter.transport

# --- redis: a server, its users and Sentinels for a farm ---
redisdir = $(pkgdatadir)/redis
dist_redis_DATA = contrib/redis/README.md contrib/redis/sts-cached.conf contrib/redis/users.acl \
	contrib/redis/redis.conf contrib/redis/sentinel.conf
