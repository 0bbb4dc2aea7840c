#include "cached/fetch.h"
