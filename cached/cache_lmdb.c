#include "cached/cache_lmdb.h"
