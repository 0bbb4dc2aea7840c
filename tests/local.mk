# Unit programs mirror the tree; fuzz targets replay their corpus here.
include tests/unit/local.mk
include tests/fuzz/local.mk
