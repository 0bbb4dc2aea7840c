#include "common/sockspec.h"
