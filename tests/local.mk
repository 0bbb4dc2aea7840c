# Unit programs mirror the tree; fuzz targets replay their corpus here.
include tests/unit/local.mk
include tests/fuzz/local.mk

# --- the rules of the tree ---
dist_check_SCRIPTS = tests/check-includes
TESTS += tests/check-includes

# --- milter: the program against a fake cache daemon (pytest) ---
EXTRA_DIST += tests/system/miltertalk.py tests/system/milterlab.py tests/system/test_milter.py
