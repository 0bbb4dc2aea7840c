#include "cached/cache.h"
