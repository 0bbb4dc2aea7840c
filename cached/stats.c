#include "cached/stats.h"
