# Fuzz targets: libFuzzer programs with --enable-fuzzing, else they replay their corpus in
# `make check`. Corpus of fuzz_X: tests/fuzz/corpus/X. Adding one: its name in FUZZ_TARGETS and
# its three lines below.
FUZZ_TARGETS = \
	tests/fuzz/fuzz_answer \
	tests/fuzz/fuzz_client \
	tests/fuzz/fuzz_config \
	tests/fuzz/fuzz_config_cached \
	tests/fuzz/fuzz_config_milter \
	tests/fuzz/fuzz_control \
	tests/fuzz/fuzz_dns_exchange \
	tests/fuzz/fuzz_dns_reply \
	tests/fuzz/fuzz_domain \
	tests/fuzz/fuzz_fetch \
	tests/fuzz/fuzz_http \
	tests/fuzz/fuzz_netstring \
	tests/fuzz/fuzz_policy \
	tests/fuzz/fuzz_record \
	tests/fuzz/fuzz_request \
	tests/fuzz/fuzz_resp \
	tests/fuzz/fuzz_txt

check_PROGRAMS += $(FUZZ_TARGETS)
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/README.md
FUZZ_LINK = $(AM_LDFLAGS) $(FUZZ_FLAGS)
FUZZ_COMMON = tests/fuzz/fuzz.h
if !FUZZING
FUZZ_COMMON += tests/fuzz/replay.c
TESTS += $(FUZZ_TARGETS)
endif

tests_fuzz_fuzz_domain_SOURCES = tests/fuzz/fuzz_domain.c $(FUZZ_COMMON)
tests_fuzz_fuzz_domain_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_domain_LDADD = $(COMMON_LIBS)

tests_fuzz_fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c $(FUZZ_COMMON)
tests_fuzz_fuzz_policy_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_policy_LDADD = $(COMMON_LIBS)

tests_fuzz_fuzz_txt_SOURCES = tests/fuzz/fuzz_txt.c $(FUZZ_COMMON)
tests_fuzz_fuzz_txt_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_txt_LDADD = $(COMMON_LIBS)

tests_fuzz_fuzz_answer_SOURCES = tests/fuzz/fuzz_answer.c $(FUZZ_COMMON)
tests_fuzz_fuzz_answer_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_answer_LDADD = $(COMMON_LIBS)

tests_fuzz_fuzz_client_SOURCES = tests/fuzz/fuzz_client.c $(FUZZ_COMMON)
tests_fuzz_fuzz_client_LDFLAGS = $(FUZZ_LINK) -Wl,--wrap=sockspec_connect,--wrap=send,--wrap=recv
tests_fuzz_fuzz_client_LDADD = $(COMMON_LIBS)

tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c $(FUZZ_COMMON)
tests_fuzz_fuzz_config_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_config_LDADD = $(COMMON_LIBS)

tests_fuzz_fuzz_config_cached_SOURCES = tests/fuzz/fuzz_config_cached.c tests/fuzz/with_settings.h \
	$(FUZZ_COMMON)
tests_fuzz_fuzz_config_cached_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_config_cached_LDADD = $(CACHED_LIBS)

tests_fuzz_fuzz_config_milter_SOURCES = tests/fuzz/fuzz_config_milter.c tests/fuzz/with_settings.h \
	$(FUZZ_COMMON)
tests_fuzz_fuzz_config_milter_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_config_milter_LDADD = $(STSMILTER_LIBS)

tests_fuzz_fuzz_netstring_SOURCES = tests/fuzz/fuzz_netstring.c $(FUZZ_COMMON)
tests_fuzz_fuzz_netstring_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_netstring_LDADD = $(COMMON_LIBS)

tests_fuzz_fuzz_dns_exchange_SOURCES = tests/fuzz/fuzz_dns_exchange.c tests/fuzz/with_dns.h \
	$(FUZZ_COMMON)
tests_fuzz_fuzz_dns_exchange_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_dns_exchange_LDADD = $(CACHED_LIBS)

tests_fuzz_fuzz_dns_reply_SOURCES = tests/fuzz/fuzz_dns_reply.c tests/fuzz/with_dns.h $(FUZZ_COMMON)
tests_fuzz_fuzz_dns_reply_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_dns_reply_LDADD = $(CACHED_LIBS)

tests_fuzz_fuzz_control_SOURCES = tests/fuzz/fuzz_control.c tests/fake/fake_query.c \
	tests/fake/fake_query.h tests/fake/fake_source.c tests/fake/fake_source.h $(FUZZ_COMMON)
tests_fuzz_fuzz_control_CPPFLAGS = $(CACHED_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_fuzz_fuzz_control_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_control_LDADD = $(CACHED_LIBS) $(CMOCKA_LIBS)

tests_fuzz_fuzz_http_SOURCES = tests/fuzz/fuzz_http.c $(FUZZ_COMMON)
tests_fuzz_fuzz_http_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_http_LDADD = $(CACHED_LIBS)

# Without TLS.
tests_fuzz_fuzz_fetch_SOURCES = tests/fuzz/fuzz_fetch.c $(FUZZ_COMMON)
tests_fuzz_fuzz_fetch_CPPFLAGS = $(CACHED_CPPFLAGS)
tests_fuzz_fuzz_fetch_LDFLAGS = $(FUZZ_LINK) -Wl,--wrap=curl_easy_setopt
tests_fuzz_fuzz_fetch_LDADD = $(CACHED_LIBS)

tests_fuzz_fuzz_record_SOURCES = tests/fuzz/fuzz_record.c $(FUZZ_COMMON)
tests_fuzz_fuzz_record_CPPFLAGS = $(CACHED_CPPFLAGS)
tests_fuzz_fuzz_record_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_record_LDADD = $(CACHED_LIBS)

tests_fuzz_fuzz_request_SOURCES = tests/fuzz/fuzz_request.c $(FUZZ_COMMON)
tests_fuzz_fuzz_request_CPPFLAGS = $(CACHED_CPPFLAGS)
tests_fuzz_fuzz_request_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_request_LDADD = $(CACHED_LIBS)

tests_fuzz_fuzz_resp_SOURCES = tests/fuzz/fuzz_resp.c $(FUZZ_COMMON)
tests_fuzz_fuzz_resp_CPPFLAGS = $(CACHED_CPPFLAGS)
tests_fuzz_fuzz_resp_LDFLAGS = $(FUZZ_LINK)
tests_fuzz_fuzz_resp_LDADD = $(CACHED_LIBS)
