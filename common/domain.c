#include "common/domain.h"
