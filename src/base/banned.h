/*
 * Functions that Holdfast does not use, turned into compile errors.
 *
 * Each has a safer stand-in: lengths are explicit, time is data, nothing is locale-dependent.
 */
#ifndef HF_BASE_BANNED_H
#define HF_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The fortified headers define some of them as macros for clang. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat strtok sprintf vsprintf gets
#pragma GCC poison gmtime localtime ctime asctime atoi atol atof

#endif
