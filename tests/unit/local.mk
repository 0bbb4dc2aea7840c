# Unit tests: one small cmocka program a file, linked with that file and what lies below it.
UNIT_CPPFLAGS = $(CACHED_CPPFLAGS) $(CMOCKA_CFLAGS)
UNIT_LIBS_COMMON = $(COMMON_LIBS) $(CMOCKA_LIBS)
UNIT_LIBS_CACHED = $(CACHED_LIBS) $(CMOCKA_LIBS)

# Those that take longest begin first.
UNIT_TESTS = \
	tests/unit/cached/test_farm \
	tests/unit/cached/test_farm_gaps \
	tests/unit/cached/test_store_rescue \
	tests/unit/cached/test_store_heads \
	tests/unit/cached/test_store_rescue_faults \
	tests/unit/cached/test_cache_redis_lock \
	tests/unit/cached/test_cache_redis_probe \
	tests/unit/cached/test_redis_link \
	tests/unit/cached/test_fetch \
	tests/unit/cached/test_probe \
	tests/unit/milter/test_asker \
	tests/unit/milter/test_handover \
	tests/unit/milter/test_network \
	tests/unit/milter/test_reply \
	tests/unit/milter/test_session \
	tests/unit/milter/test_settings \
	tests/unit/cached/test_conn_engine \
	tests/unit/cached/test_refresh \
	tests/unit/cached/test_settings \
	tests/unit/cached/test_settings_redis \
	tests/unit/cached/test_query_farm \
	tests/unit/cached/test_query_orders \
	tests/unit/cached/test_inflight \
	tests/unit/cached/test_query_hosts \
	tests/unit/cached/test_query_policy \
	tests/unit/cached/test_probes \
	tests/unit/cached/test_query \
	tests/unit/cached/test_query_probe \
	tests/unit/cached/test_command \
	tests/unit/cached/test_replies \
	tests/unit/cached/test_verdict \
	tests/unit/cached/test_verdict_dane \
	tests/unit/cached/test_verdict_probes \
	tests/unit/cached/test_conn \
	tests/unit/cached/test_conn_attacks \
	tests/unit/cached/test_listener \
	tests/unit/cached/test_check \
	tests/unit/cached/test_check_lint \
	tests/unit/cached/test_control \
	tests/unit/cached/test_stsctl_print \
	tests/unit/cached/test_held \
	tests/unit/cached/test_mta_config \
	tests/unit/cached/test_exitcode \
	tests/unit/cached/test_metrics \
	tests/unit/cached/test_stats \
	tests/unit/common/test_client \
	tests/unit/common/test_conffile \
	tests/unit/common/test_conffile_print \
	tests/unit/common/test_domain \
	tests/unit/common/test_nexthop \
	tests/unit/common/test_policy \
	tests/unit/common/test_policy_match \
	tests/unit/common/test_glob \
	tests/unit/common/test_scan \
	tests/unit/common/test_txt \
	tests/unit/common/test_daemon \
	tests/unit/cached/test_address \
	tests/unit/cached/test_organisation \
	tests/unit/cached/test_dns \
	tests/unit/cached/test_dns_limits \
	tests/unit/cached/test_dns_line \
	tests/unit/cached/test_dane \
	tests/unit/cached/test_source_dane \
	tests/unit/cached/test_dns_parse \
	tests/unit/cached/test_dns_screen \
	tests/unit/cached/test_dns_screen_names \
	tests/unit/cached/test_dns_servers \
	tests/unit/common/test_proto \
	tests/unit/common/test_answer \
	tests/unit/common/test_sockspec \
	tests/unit/common/test_buf \
	tests/unit/common/test_log \
	tests/unit/cached/test_fetch_limits \
	tests/unit/cached/test_fetch_line \
	tests/unit/cached/test_fetch_tour \
	tests/unit/cached/test_source \
	tests/unit/cached/test_source_thread \
	tests/unit/cached/test_table \
	tests/unit/cached/test_farm_key \
	tests/unit/cached/test_redis_conn \
	tests/unit/cached/test_redis_sentinel \
	tests/unit/cached/test_redis_tls \
	tests/unit/cached/test_record \
	tests/unit/cached/test_resp \
	tests/unit/cached/test_store_db \
	tests/unit/cached/test_store_writer \
	tests/unit/cached/test_thread \
	tests/unit/cached/test_pool \
	tests/unit/cached/test_turn \
	tests/unit/cached/test_store_crowd \
	tests/unit/cached/test_store_queue \
	tests/unit/cached/test_cache_lmdb \
	tests/unit/cached/test_cache_mem \
	tests/unit/cached/test_cache_redis \
	tests/unit/cached/test_cache_store \
	tests/unit/cached/test_cache_farm \
	tests/unit/cached/test_cache

check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)

# --- common: what the RFC says about bytes -----------------------------------
tests_unit_common_test_domain_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_domain_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_nexthop_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_nexthop_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_policy_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_policy_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_policy_match_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_policy_match_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_glob_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_glob_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_scan_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_scan_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_txt_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_txt_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_log_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_log_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_buf_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_buf_LDADD = $(UNIT_LIBS_COMMON)

# --- common: frames, configuration, sockets ----------------------------------
CONFFILE_SAMPLE = tests/unit/common/conffile_sample.c tests/unit/common/conffile_sample.h
SETTINGS_ROWS = tests/unit/common/settings_rows.c tests/unit/common/settings_rows.h
tests_unit_common_test_client_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_client_LDADD = $(UNIT_LIBS_COMMON) -lpthread
tests_unit_common_test_daemon_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_daemon_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_conffile_SOURCES = tests/unit/common/test_conffile.c $(CONFFILE_SAMPLE)
tests_unit_common_test_conffile_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_conffile_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_conffile_print_SOURCES = tests/unit/common/test_conffile_print.c $(CONFFILE_SAMPLE)
tests_unit_common_test_conffile_print_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_conffile_print_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_proto_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_proto_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_answer_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_answer_LDADD = $(UNIT_LIBS_COMMON)
tests_unit_common_test_sockspec_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_common_test_sockspec_LDADD = $(UNIT_LIBS_COMMON)

# --- cached: DNS ---------------------------------------------------------------
tests_unit_cached_test_address_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_address_LDADD = $(UNIT_LIBS_CACHED)
DNS_PACKET = tests/fake/dns_packet.c tests/fake/dns_packet.h
DNS_LAB = tests/fake/dns_lab.c tests/fake/dns_lab.h tests/fake/dns_server.c \
	tests/fake/dns_server.h $(DNS_PACKET)
SCREEN_CASE = tests/fake/screen_case.c tests/fake/screen_case.h $(DNS_PACKET)
tests_unit_cached_test_dns_SOURCES = tests/unit/cached/test_dns.c $(DNS_LAB)
tests_unit_cached_test_dns_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_dns_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_dns_line_SOURCES = tests/unit/cached/test_dns_line.c
tests_unit_cached_test_dns_line_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_dns_line_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_dns_limits_SOURCES = tests/unit/cached/test_dns_limits.c $(DNS_LAB)
tests_unit_cached_test_dns_limits_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_dns_limits_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_dane_SOURCES = tests/unit/cached/test_dane.c
tests_unit_cached_test_dane_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_dane_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_dns_parse_SOURCES = tests/unit/cached/test_dns_parse.c $(DNS_PACKET)
tests_unit_cached_test_dns_parse_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_dns_parse_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_dns_screen_SOURCES = tests/unit/cached/test_dns_screen.c $(SCREEN_CASE)
tests_unit_cached_test_dns_screen_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_dns_screen_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_dns_screen_names_SOURCES = tests/unit/cached/test_dns_screen_names.c $(SCREEN_CASE)
tests_unit_cached_test_dns_screen_names_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_dns_screen_names_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_dns_servers_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_dns_servers_LDADD = $(UNIT_LIBS_CACHED)

# --- cached: fetching ----------------------------------------------------------
FETCH_LAB = tests/fake/fetch_lab.c tests/fake/fetch_lab.h tests/fake/test_certs.c \
	tests/fake/test_certs.h tests/fake/tls_listener.c \
	tests/fake/tls_listener.h tests/fake/tls_server.c tests/fake/tls_server.h
tests_unit_cached_test_fetch_SOURCES = tests/unit/cached/test_fetch.c $(FETCH_LAB)
tests_unit_cached_test_fetch_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_fetch_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_fetch_limits_SOURCES = tests/unit/cached/test_fetch_limits.c $(FETCH_LAB)
tests_unit_cached_test_fetch_limits_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_fetch_limits_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_probe_SOURCES = tests/unit/cached/test_probe.c tests/fake/smtp_server.c \
	tests/fake/smtp_server.h $(FETCH_LAB)
tests_unit_cached_test_probe_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_probe_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_fetch_line_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_fetch_line_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_fetch_tour_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_fetch_tour_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_source_dane_SOURCES = tests/unit/cached/test_source_dane.c \
	tests/fake/fake_dns.c tests/fake/fake_dns.h
tests_unit_cached_test_source_dane_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_source_dane_LDADD = $(UNIT_LIBS_CACHED)
SOURCE_LAB = tests/unit/cached/source_lab.c tests/unit/cached/source_lab.h
tests_unit_cached_test_source_SOURCES = tests/unit/cached/test_source.c $(SOURCE_LAB) tests/fake/fake_dns.c \
	tests/fake/fake_dns.h tests/fake/fake_fetch.c tests/fake/fake_fetch.h
tests_unit_cached_test_source_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_source_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_source_thread_SOURCES = tests/unit/cached/test_source_thread.c $(SOURCE_LAB) tests/fake/fake_dns.c \
	tests/fake/fake_dns.h tests/fake/fake_fetch.c tests/fake/fake_fetch.h
tests_unit_cached_test_source_thread_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_source_thread_LDADD = $(UNIT_LIBS_CACHED)

# --- cached: store and cache ---------------------------------------------------
STORE_SAMPLES = tests/unit/cached/store_samples.c tests/unit/cached/store_samples.h
CACHE_SAMPLES = tests/unit/cached/cache_samples.c tests/unit/cached/cache_samples.h $(STORE_SAMPLES)
tests_unit_cached_test_organisation_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_organisation_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_table_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_table_LDADD = $(UNIT_LIBS_CACHED)
REDIS_LAB = tests/fake/redis_lab.c tests/fake/redis_lab.h
FARM_LAB = tests/unit/cached/farm_nodes_lab.c tests/unit/cached/farm_nodes_lab.h $(REDIS_LAB)
tests_unit_cached_test_farm_SOURCES = tests/unit/cached/test_farm.c $(FARM_LAB)
tests_unit_cached_test_farm_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_farm_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_farm_gaps_SOURCES = tests/unit/cached/test_farm_gaps.c $(FARM_LAB)
tests_unit_cached_test_farm_gaps_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_farm_gaps_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_farm_key_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_farm_key_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_resp_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_resp_LDADD = $(UNIT_LIBS_CACHED)
CONN_LAB = tests/unit/cached/conn_lab.c tests/unit/cached/conn_lab.h tests/fake/fake_redis.c \
	tests/fake/fake_redis.h
tests_unit_cached_test_redis_conn_SOURCES = tests/unit/cached/test_redis_conn.c $(CONN_LAB)
tests_unit_cached_test_redis_conn_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_redis_conn_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_redis_tls_SOURCES = tests/unit/cached/test_redis_tls.c $(CONN_LAB) \
	tests/fake/test_certs.c tests/fake/test_certs.h
tests_unit_cached_test_redis_tls_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_redis_tls_LDADD = $(UNIT_LIBS_CACHED)
LINK_LAB = tests/unit/cached/link_lab.c tests/unit/cached/link_lab.h tests/fake/fake_redis.c \
	tests/fake/fake_redis.h
tests_unit_cached_test_redis_link_SOURCES = tests/unit/cached/test_redis_link.c $(LINK_LAB)
tests_unit_cached_test_redis_link_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_redis_link_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_redis_sentinel_SOURCES = tests/unit/cached/test_redis_sentinel.c $(LINK_LAB)
tests_unit_cached_test_redis_sentinel_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_redis_sentinel_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_record_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_record_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_cache_lmdb_SOURCES = tests/unit/cached/test_cache_lmdb.c $(STORE_SAMPLES)
tests_unit_cached_test_cache_lmdb_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_cache_lmdb_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_store_rescue_SOURCES = tests/unit/cached/test_store_rescue.c $(STORE_SAMPLES)
tests_unit_cached_test_store_rescue_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_store_rescue_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_store_heads_SOURCES = tests/unit/cached/test_store_heads.c $(STORE_SAMPLES)
tests_unit_cached_test_store_heads_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_store_heads_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_store_rescue_faults_SOURCES = tests/unit/cached/test_store_rescue_faults.c $(STORE_SAMPLES)
tests_unit_cached_test_store_rescue_faults_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_store_rescue_faults_LDFLAGS = -Wl,--wrap=fork,--wrap=waitpid,--wrap=alarm,--wrap=rename \
	-Wl,--wrap=store_db_next,--wrap=store_db_previous,--wrap=store_db_index_next
tests_unit_cached_test_store_rescue_faults_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_store_db_SOURCES = tests/unit/cached/test_store_db.c $(STORE_SAMPLES)
tests_unit_cached_test_store_db_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_store_db_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_store_crowd_SOURCES = tests/unit/cached/test_store_crowd.c $(STORE_SAMPLES)
tests_unit_cached_test_store_crowd_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_store_crowd_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_thread_SOURCES = tests/unit/cached/test_thread.c
tests_unit_cached_test_thread_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_thread_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_pool_SOURCES = tests/unit/cached/test_pool.c
tests_unit_cached_test_pool_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_pool_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_turn_SOURCES = tests/unit/cached/test_turn.c
tests_unit_cached_test_turn_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_turn_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_store_queue_SOURCES = tests/unit/cached/test_store_queue.c $(STORE_SAMPLES)
tests_unit_cached_test_store_queue_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_store_queue_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_store_writer_SOURCES = tests/unit/cached/test_store_writer.c $(STORE_SAMPLES)
tests_unit_cached_test_store_writer_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_store_writer_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_cache_mem_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_cache_mem_LDADD = $(UNIT_LIBS_CACHED)
CACHE_REDIS_DESK = tests/unit/cached/cache_redis_desk.c tests/unit/cached/cache_redis_desk.h \
	$(REDIS_LAB)
tests_unit_cached_test_cache_redis_SOURCES = tests/unit/cached/test_cache_redis.c $(CACHE_REDIS_DESK)
tests_unit_cached_test_cache_redis_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_cache_redis_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_cache_redis_probe_SOURCES = tests/unit/cached/test_cache_redis_probe.c \
	$(CACHE_REDIS_DESK)
tests_unit_cached_test_cache_redis_probe_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_cache_redis_probe_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_cache_redis_lock_SOURCES = tests/unit/cached/test_cache_redis_lock.c \
	$(CACHE_REDIS_DESK)
tests_unit_cached_test_cache_redis_lock_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_cache_redis_lock_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_cache_store_SOURCES = tests/unit/cached/test_cache_store.c $(CACHE_SAMPLES)
tests_unit_cached_test_cache_store_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_cache_store_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_cache_farm_SOURCES = tests/unit/cached/test_cache_farm.c $(CACHE_SAMPLES)
tests_unit_cached_test_cache_farm_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_cache_farm_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_cache_SOURCES = tests/unit/cached/test_cache.c $(CACHE_SAMPLES)
tests_unit_cached_test_cache_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_cache_LDADD = $(UNIT_LIBS_CACHED)

# --- cached: answering ---------------------------------------------------------
QUERY_LAB = tests/fake/query_lab.c tests/fake/query_lab.h tests/fake/fake_source.c \
	tests/fake/fake_source.h
tests_unit_cached_test_probes_SOURCES = tests/unit/cached/test_probes.c tests/fake/fake_source.c \
	tests/fake/fake_source.h tests/fake/fake_farm.c tests/fake/fake_farm.h
tests_unit_cached_test_probes_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_probes_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_query_SOURCES = tests/unit/cached/test_query.c $(QUERY_LAB)
tests_unit_cached_test_query_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_query_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_query_probe_SOURCES = tests/unit/cached/test_query_probe.c $(QUERY_LAB)
tests_unit_cached_test_query_probe_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_query_probe_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_query_hosts_SOURCES = tests/unit/cached/test_query_hosts.c $(QUERY_LAB)
tests_unit_cached_test_query_hosts_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_query_hosts_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_query_policy_SOURCES = tests/unit/cached/test_query_policy.c $(QUERY_LAB)
tests_unit_cached_test_query_policy_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_query_policy_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_query_farm_SOURCES = tests/unit/cached/test_query_farm.c $(QUERY_LAB) \
	tests/fake/fake_farm.c tests/fake/fake_farm.h
tests_unit_cached_test_query_farm_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_query_farm_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_inflight_SOURCES = tests/unit/cached/test_inflight.c $(QUERY_LAB)
tests_unit_cached_test_inflight_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_inflight_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_query_orders_SOURCES = tests/unit/cached/test_query_orders.c $(QUERY_LAB)
tests_unit_cached_test_query_orders_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_query_orders_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_conn_engine_SOURCES = tests/unit/cached/test_conn_engine.c $(QUERY_LAB)
tests_unit_cached_test_conn_engine_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_conn_engine_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_refresh_SOURCES = tests/unit/cached/test_refresh.c \
	tests/fake/fake_source.c tests/fake/fake_source.h $(STORE_SAMPLES)
tests_unit_cached_test_refresh_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_refresh_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_settings_SOURCES = tests/unit/cached/test_settings.c $(SETTINGS_ROWS)
tests_unit_cached_test_settings_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_settings_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_settings_redis_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_settings_redis_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_replies_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_replies_LDADD = $(UNIT_LIBS_CACHED)
VERDICT_SAMPLES = tests/unit/cached/verdict_samples.c tests/unit/cached/verdict_samples.h
tests_unit_cached_test_verdict_SOURCES = tests/unit/cached/test_verdict.c $(VERDICT_SAMPLES)
tests_unit_cached_test_verdict_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_verdict_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_verdict_dane_SOURCES = tests/unit/cached/test_verdict_dane.c $(VERDICT_SAMPLES)
tests_unit_cached_test_verdict_dane_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_verdict_dane_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_verdict_probes_SOURCES = tests/unit/cached/test_verdict_probes.c $(VERDICT_SAMPLES)
tests_unit_cached_test_verdict_probes_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_verdict_probes_LDADD = $(UNIT_LIBS_CACHED)

# --- cached: operators -----------------------------------------------------------
tests_unit_cached_test_command_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_command_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_stsctl_print_SOURCES = tests/unit/cached/test_stsctl_print.c \
	cached/stsctl_print.c cached/stsctl_print.h
tests_unit_cached_test_stsctl_print_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_stsctl_print_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_conn_SOURCES = tests/unit/cached/test_conn.c tests/fake/fake_query.c \
	tests/fake/fake_query.h
tests_unit_cached_test_conn_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_conn_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_listener_SOURCES = tests/unit/cached/test_listener.c \
	tests/fake/fake_query.c tests/fake/fake_query.h
tests_unit_cached_test_listener_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_listener_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_conn_attacks_SOURCES = tests/unit/cached/test_conn_attacks.c \
	tests/fake/fake_query.c tests/fake/fake_query.h
tests_unit_cached_test_conn_attacks_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_conn_attacks_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_check_SOURCES = tests/unit/cached/test_check.c tests/fake/fake_source.c \
	tests/fake/fake_source.h
tests_unit_cached_test_check_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_check_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_check_lint_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_check_lint_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_control_SOURCES = tests/unit/cached/test_control.c tests/fake/fake_query.c \
	tests/fake/fake_query.h
tests_unit_cached_test_control_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_control_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_held_SOURCES = tests/unit/cached/test_held.c \
	$(STORE_SAMPLES)
tests_unit_cached_test_held_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_held_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_mta_config_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_mta_config_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_exitcode_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_exitcode_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_metrics_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_metrics_LDADD = $(UNIT_LIBS_CACHED)
tests_unit_cached_test_stats_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_cached_test_stats_LDADD = $(UNIT_LIBS_CACHED)

# --- milter ----------------------------------------------------------------------
UNIT_LIBS_MILTER = $(STSMILTER_LIBS) $(CMOCKA_LIBS)
tests_unit_milter_test_asker_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_milter_test_asker_LDADD = $(UNIT_LIBS_MILTER)
tests_unit_milter_test_handover_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_milter_test_handover_LDADD = $(UNIT_LIBS_MILTER)
tests_unit_milter_test_network_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_milter_test_network_LDADD = $(UNIT_LIBS_MILTER)
tests_unit_milter_test_reply_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_milter_test_reply_LDADD = $(UNIT_LIBS_MILTER)
tests_unit_milter_test_session_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_milter_test_session_LDADD = $(UNIT_LIBS_MILTER)
tests_unit_milter_test_settings_SOURCES = tests/unit/milter/test_settings.c $(SETTINGS_ROWS)
tests_unit_milter_test_settings_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_milter_test_settings_LDADD = $(UNIT_LIBS_MILTER)
