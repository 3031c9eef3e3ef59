/*
 * Assertions that stay in the release build.
 *
 * HF_CHECK stops the process when an invariant of the program itself is broken (a bug): better no
 * answer than a wrong one. HF_CHECK_SLOW is for walks over whole structures; it is compiled in by
 * -Dslow_checks=true (debug, simulator, CI). Neither is for bad input or failing systems.
 */
#ifndef HF_BASE_CHECK_H
#define HF_BASE_CHECK_H

__attribute__((noreturn, cold)) void hf_check_failed(const char *condition, const char *file,
                                                     int line, const char *function);

#define HF_CHECK(condition)                                                                        \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) {                                                   \
            hf_check_failed(#condition, __FILE__, __LINE__, __func__);                             \
        }                                                                                          \
    } while (0)

#ifdef HF_SLOW_CHECKS
#define HF_CHECK_SLOW(condition) HF_CHECK(condition)
#else
#define HF_CHECK_SLOW(condition) ((void)0)
#endif

#endif
