# Unit programs mirror the tree; fuzz targets replay their corpus here.
include tests/unit/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk

# --- the rules of the tree ---
dist_check_SCRIPTS = tests/check-includes
TESTS += tests/check-includes

# --- system tests: real servers, real MTAs (pytest: tests/system/run) ---
EXTRA_DIST += tests/system tests/ATTACKS.md tests/FAULTS.md tests/fake/preload.h tests/fake/preload_alloc.c \
	tests/fake/preload_clock.c tests/fake/preload_disk.c tests/fake/slow.h

# --- the manual pages say what the programs do ---
dist_check_SCRIPTS += tests/check-manuals
TESTS += tests/check-manuals

# --- contrib/valgrind runs them all ---
.PHONY: print-unit-tests
print-unit-tests:
	@echo $(UNIT_TESTS)
