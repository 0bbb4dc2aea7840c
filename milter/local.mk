# sts-milter. Everything but main is in a library that tests link too.
noinst_LIBRARIES += libstsmilter.a
libstsmilter_a_SOURCES = \
	milter/asker.c milter/asker.h \
	milter/callbacks.c milter/callbacks.h \
	milter/handover.c milter/handover.h \
	milter/network.c milter/network.h \
	milter/parent.c milter/parent.h \
	milter/reply.c milter/reply.h \
	milter/rules.c milter/rules.h \
	milter/session.c milter/session.h \
	milter/settings.c milter/settings.h \
	milter/worker.c milter/worker.h
STSMILTER_LIBS = libstsmilter.a $(COMMON_LIBS) $(MILTER_LIBS) -lpthread

sbin_PROGRAMS += sts-milter
sts_milter_SOURCES = milter/main.c
sts_milter_LDADD = $(STSMILTER_LIBS)
dist_man_MANS += milter/sts-milter.8 common/sts-milter.conf.5
