#include "common/policy.h"
