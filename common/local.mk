# The library of both programs: libc, libconfuse and libidn2 only.
noinst_LIBRARIES += libcommon.a
libcommon_a_SOURCES = \
	common/alloc.c common/alloc.h \
	common/answer.c common/answer.h \
	common/buf.c common/buf.h \
	common/chance.c common/chance.h \
	common/client.c common/client.h \
	common/clock.c common/clock.h \
	common/confcheck.c common/confcheck.h \
	common/conffile.c common/conffile.h \
	common/conftext.c common/conftext.h \
	common/confvalue.c common/confvalue.h \
	common/daemon.c common/daemon.h \
	common/domain.c common/domain.h \
	common/error.c common/error.h \
	common/glob.c common/glob.h \
	common/log.c common/log.h \
	common/nexthop.c common/nexthop.h \
	common/policy.c common/policy.h \
	common/proto.c common/proto.h \
	common/regular.c common/regular.h \
	common/scan.c common/scan.h \
	common/sockspec.c common/sockspec.h \
	common/txt.c common/txt.h

COMMON_LIBS = libcommon.a $(CONFUSE_LIBS) $(IDN2_LIBS) $(SYSTEMD_LIBS)
