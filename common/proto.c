#include "common/proto.h"
