# sts-cached and stsctl. Everything but the two main files is in a library that tests link too.
noinst_LIBRARIES += libcached.a
libcached_a_SOURCES = \
	cached/address.c cached/address.h \
	cached/cache.c cached/cache.h \
	cached/cache_farm.c cached/cache_parts.h \
	cached/cache_lmdb.c cached/cache_lmdb.h \
	cached/cache_mem.c cached/cache_mem.h \
	cached/cache_redis.c cached/cache_redis.h cached/cache_redis_job.h \
	cached/cache_redis_probe.c cached/cache_redis_lock.c cached/cache_redis_nodes.c cached/cache_redis_put.c \
	cached/cache_redis_script.c cached/cache_redis_script.h \
	cached/cache_store.c cached/cache_store.h \
	cached/check.c cached/check.h \
	cached/check_dane.c cached/check_dane.h \
	cached/check_mx.c cached/check_mx.h \
	cached/check_policy.c cached/check_policy.h \
	cached/check_record.c cached/check_record.h \
	cached/check_report.c cached/check_report.h \
	cached/command.c cached/command.h \
	cached/conn.c cached/conn.h \
	cached/control.c cached/control.h cached/control_check.c cached/control_orders.c cached/control_parts.h \
	cached/dane.c cached/dane.h \
	cached/describe.c cached/describe.h \
	cached/dns.c cached/dns.h \
	cached/dns_exchange.c cached/dns_exchange.h cached/dns_line.c cached/dns_line.h \
	cached/dns_parse.c cached/dns_parse.h \
	cached/dns_screen.c cached/dns_screen.h \
	cached/dns_servers.c cached/dns_servers.h \
	cached/exitcode.c cached/exitcode.h \
	cached/farm_key.c cached/farm_key.h \
	cached/farm.c cached/farm.h cached/farm_parts.h \
	cached/farm_probe.c cached/farm_copy.c cached/farm_dirty.c cached/farm_nodes.c cached/farm_stream.c \
	cached/fetch.c cached/fetch.h \
	cached/fetch_line.c cached/fetch_line.h \
	cached/fetch_tour.c cached/fetch_tour.h \
	cached/fetch_loop.c cached/fetch_loop.h \
	cached/fetch_reply.c cached/fetch_reply.h \
	cached/fetch_tls.c cached/fetch_tls.h \
	cached/fetch_transfer.c cached/fetch_transfer.h \
	cached/host_lookup.c cached/host_lookup.h \
	cached/mailbox.c cached/mailbox.h cached/thread.c cached/thread.h cached/turn.c cached/turn.h \
	cached/memory.c cached/memory.h \
	cached/organisation.c cached/organisation.h \
	cached/pool.c cached/pool.h \
	cached/probe.c cached/probe.h \
	cached/probe_smtp.c cached/probe_smtp.h \
	cached/probes.c cached/probes.h \
	cached/flush.c cached/flush.h \
	cached/held.c cached/held.h \
	cached/metrics.c cached/metrics.h \
	cached/mta_config.c cached/mta_config.h \
	cached/mta_host.c cached/mta_host.h \
	cached/program.c cached/program.h \
	cached/inflight.c cached/inflight.h \
	cached/listener.c cached/listener.h \
	cached/query.c cached/query.h \
	cached/query_engine.h \
	cached/query_farm.c cached/query_fetch.c \
	cached/query_orders.c cached/query_probe.c \
	cached/record.c cached/record.h \
	cached/redis_conn.c cached/redis_conn.h \
	cached/redis_link.c cached/redis_link.h \
	cached/redis_sentinel.c cached/redis_sentinel.h \
	cached/redis_tls.c cached/redis_tls.h \
	cached/refresh.c cached/refresh.h \
	cached/replies.c cached/replies.h \
	cached/resp.c cached/resp.h \
	cached/settings.c cached/settings.h \
	cached/settings_redis.c cached/settings_redis.h \
	cached/source.c cached/source.h \
	cached/source_dane.c cached/source_dane.h \
	cached/source_resolver.c cached/source_resolver.h \
	cached/source_job.c cached/source_job.h \
	cached/stats.c cached/stats.h \
	cached/store_db.c cached/store_db.h cached/store_db_lmdb.h \
	cached/store_db_check.c \
	cached/store_db_head.c \
	cached/store_db_write.c \
	cached/store_crowd.c cached/store_crowd.h cached/store_guard.c cached/store_guard.h \
	cached/store_rescue.c cached/store_rescue.h \
	cached/store_queue.c cached/store_queue.h cached/store_room.c cached/store_room.h \
	cached/store_writer.c cached/store_writer.h \
	cached/table.c cached/table.h \
	cached/verdict.c cached/verdict.h
CACHED_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(LDNS_CFLAGS) $(CURL_CFLAGS) $(OPENSSL_CFLAGS) \
	$(LMDB_CFLAGS) $(JANSSON_CFLAGS) $(PSL_CFLAGS) $(XXHASH_CFLAGS) $(HIREDIS_CFLAGS)
libcached_a_CPPFLAGS = $(CACHED_CPPFLAGS)
CACHED_LIBS = libcached.a $(COMMON_LIBS) $(EVENT_LIBS) $(EVENT_OPENSSL_LIBS) $(HIREDIS_LIBS) $(LDNS_LIBS) \
	$(CURL_LIBS) $(OPENSSL_LIBS) $(LMDB_LIBS) $(JANSSON_LIBS) $(PSL_LIBS) $(XXHASH_LIBS) -lpthread -lm

bin_PROGRAMS += stsctl
stsctl_SOURCES = cached/stsctl.c cached/stsctl_mta.c cached/stsctl_mta.h cached/stsctl_print.c cached/stsctl_print.h
stsctl_CPPFLAGS = $(CACHED_CPPFLAGS)
stsctl_LDADD = $(CACHED_LIBS)
dist_man_MANS += cached/stsctl.8 cached/sts-cached.8 common/sts-cached.conf.5

sbin_PROGRAMS += sts-cached
sts_cached_SOURCES = cached/main.c
sts_cached_CPPFLAGS = $(CACHED_CPPFLAGS)
sts_cached_LDADD = $(CACHED_LIBS)
