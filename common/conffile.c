#include "common/conffile.h"
