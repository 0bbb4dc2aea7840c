#include "cached/control.h"
