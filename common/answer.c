#include "common/answer.h"
