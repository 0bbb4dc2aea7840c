#include "cached/settings.h"
