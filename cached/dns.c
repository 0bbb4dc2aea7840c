#include "cached/dns.h"
