#include "common/txt.h"
