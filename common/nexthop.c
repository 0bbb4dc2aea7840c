#include "common/nexthop.h"
