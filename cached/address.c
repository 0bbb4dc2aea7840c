#include "cached/address.h"
