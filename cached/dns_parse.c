#include "cached/dns_parse.h"
