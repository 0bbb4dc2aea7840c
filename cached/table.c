#include "cached/table.h"
