# Examples and set-up scripts; the tests use them as they stand.
EXTRA_DIST += contrib/check contrib/install-deps contrib/quickstart .ci/run

# --- sendmail: the feature and the sample configuration ---
sendmaildir = $(pkgdatadir)/sendmail
dist_sendmail_DATA = contrib/sendmail/sts_milter.m4 contrib/sendmail/sendmail.mc contrib/sendmail/README.md
