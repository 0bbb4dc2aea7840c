#include "cached/record.h"
