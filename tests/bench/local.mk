# The bench (contrib/bench): built by `make check`, run by hand.
BENCH_COMMON = tests/bench/names.c tests/bench/names.h tests/bench/times.c tests/bench/times.h
BENCH_TOOLS = \
	tests/bench/load \
	tests/bench/fill \
	tests/bench/pace \
	tests/bench/bare_cold \
	tests/bench/bare_milter \
	tests/bench/bare_epoll \
	tests/bench/bare_event \
	tests/bench/world

check_PROGRAMS += $(BENCH_TOOLS)
bench-programs: $(BENCH_TOOLS)
.PHONY: bench-programs
EXTRA_DIST += tests/bench/README.md tests/bench/bench.py tests/bench/cold.py tests/bench/figures.py tests/bench/hits.py \
	tests/bench/instructions.py tests/bench/mail.py tests/bench/mail_inside.py tests/bench/million.py tests/bench/recipients.py \
	tests/bench/rivals.py tests/bench/stage.py

tests_bench_load_SOURCES = tests/bench/load.c $(BENCH_COMMON)
tests_bench_load_LDADD = $(COMMON_LIBS)

tests_bench_fill_SOURCES = tests/bench/fill.c $(BENCH_COMMON)
tests_bench_fill_CPPFLAGS = $(CACHED_CPPFLAGS)
tests_bench_fill_LDADD = $(CACHED_LIBS)

tests_bench_pace_SOURCES = tests/bench/pace.c $(BENCH_COMMON)
tests_bench_pace_LDADD = $(COMMON_LIBS)

tests_bench_bare_epoll_SOURCES = tests/bench/bare_epoll.c $(BENCH_COMMON)
tests_bench_bare_epoll_LDADD = $(COMMON_LIBS)

tests_bench_bare_milter_SOURCES = tests/bench/bare_milter.c
tests_bench_bare_milter_LDADD = $(MILTER_LIBS) -lpthread

tests_bench_bare_cold_SOURCES = tests/bench/bare_cold.c tests/fake/dns_packet.h $(BENCH_COMMON)
tests_bench_bare_cold_CPPFLAGS = $(CACHED_CPPFLAGS)
tests_bench_bare_cold_LDADD = $(COMMON_LIBS) $(OPENSSL_LIBS)

tests_bench_bare_event_SOURCES = tests/bench/bare_event.c $(BENCH_COMMON)
tests_bench_bare_event_CPPFLAGS = $(CACHED_CPPFLAGS)
tests_bench_bare_event_LDADD = $(COMMON_LIBS) $(EVENT_LIBS)

tests_bench_world_SOURCES = tests/bench/world.c tests/bench/world_dns.c tests/bench/world_dns.h \
	tests/bench/world_certs.c tests/bench/world_certs.h tests/fake/dns_packet.c tests/fake/dns_packet.h $(BENCH_COMMON)
tests_bench_world_CPPFLAGS = $(CACHED_CPPFLAGS)
tests_bench_world_LDADD = $(COMMON_LIBS) $(OPENSSL_LIBS)
