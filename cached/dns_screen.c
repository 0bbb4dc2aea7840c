#include "cached/dns_screen.h"
