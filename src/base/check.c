#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void hf_check_failed(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr,
            "holdfast: internal check failed: %s (%s:%d, %s); stopping before anything wrong is "
            "stored\n",
            condition, file, line, function);
    abort();
}
