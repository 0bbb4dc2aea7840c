#include "cached/source.h"
