# Unit programs mirror the tree; fuzz targets replay their corpus here.
include tests/unit/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk

# --- the rules of the tree ---
dist_check_SCRIPTS = tests/check-includes
TESTS += tests/check-includes

# --- milter: the program against a fake cache daemon (pytest) ---
EXTRA_DIST += tests/system/miltertalk.py tests/system/milterlab.py tests/system/test_milter.py \
	tests/system/test_held_back.py tests/system/test_sanitizer.py tests/system/test_systemd.py tests/system/tsan.supp

# --- the whole mail path with real servers (pytest, in namespaces: tests/system/run) ---
EXTRA_DIST += tests/system/run tests/system/enter tests/system/conftest.py \
	tests/system/test_addresses.py tests/system/test_certificates.py tests/system/test_changes.py tests/system/test_check.py \
	tests/system/test_envelopes.py tests/system/test_exim.py tests/system/test_exim_split.py tests/system/test_postfix.py tests/system/test_postfix_chroot.py tests/system/test_matrix.py tests/system/test_postfix_attributes.py tests/system/test_outages.py tests/system/test_policies.py tests/system/test_stsctl.py \
	tests/system/lab/__init__.py tests/system/lab/certs.py tests/system/lab/client.py \
	tests/system/lab/daemons.py tests/system/lab/demo.py tests/system/lab/demo_farm.py tests/system/lab/dns.py \
	tests/system/lab/exim.py tests/system/lab/mta.py tests/system/lab/postfix.py tests/system/lab/matrix.py tests/system/lab/matrix_rows.py tests/system/lab/mx.py \
	tests/system/lab/namespace.py tests/system/lab/packages.py tests/system/lab/policyhost.py \
	tests/system/lab/process.py tests/system/lab/sanitizer.py tests/system/lab/sendmail.py tests/system/lab/stock.mc \
	tests/system/lab/syslog.py tests/system/lab/world.py

# --- the manual pages say what the programs do ---
dist_check_SCRIPTS += tests/check-manuals
TESTS += tests/check-manuals

# --- sts-cached against hundreds of hostile domains (pytest; needs no server and no root) ---
EXTRA_DIST += tests/ATTACKS.md tests/system/test_attacks.py \
	tests/system/test_vectors.py tests/system/test_query_socket.py \
	tests/system/vectors/__init__.py tests/system/vectors/asker.py tests/system/vectors/case.py \
	tests/system/vectors/dns_cases.py tests/system/vectors/dnsserver.py tests/system/vectors/http_cases.py \
	tests/system/vectors/internet.py tests/system/vectors/key_cases.py tests/system/vectors/policy_cases.py \
	tests/system/vectors/policyserver.py tests/system/vectors/stories.py \
	tests/system/vectors/txt_cases.py

# --- a farm: several sts-cached, real redis-server and redis-sentinel (pytest) ---
EXTRA_DIST += tests/system/test_farm_chaos.py tests/system/test_farm_connections.py tests/system/test_farm_flush.py tests/system/test_farm_network.py \
	tests/system/test_farm_outage.py tests/system/test_farm_sentinel.py tests/system/test_farm_sharing.py \
	tests/system/test_farm_trust.py tests/system/lab/farm.py tests/system/lab/forger.py \
	tests/system/lab/load.py tests/system/lab/network.py tests/system/lab/proxy.py tests/system/lab/redis.py

# --- each MTA while the policy service is down, late or talks nonsense ---
EXTRA_DIST += tests/system/test_matrix_connections.py tests/system/lab/standin.py

# --- every fault that can strike, and the test that shows it ---
EXTRA_DIST += tests/FAULTS.md tests/system/test_faults.py tests/system/test_milter_threads.py tests/system/lab/preload.py tests/fake/preload_alloc.c tests/fake/preload_clock.c

# --- every unit test under valgrind, some minutes; for a build without sanitizers ---
VALGRIND = valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect
.PHONY: check-valgrind
check-valgrind:
	$(MAKE) check TESTS="$(UNIT_TESTS)" LOG_COMPILER="$(VALGRIND)"
