#include "common/client.h"
