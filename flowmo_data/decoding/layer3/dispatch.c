/* Which instruction sets there are. */
#include "lookup.h"

/* Makes the tables, and returns the names of the instruction sets that this processor has, the fastest first. */
EXPORT const char *layer3_open(void)
{
    layer3_make_lookup_tables();
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                __builtin_cpu_supports("bmi2");
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    if (avx2)
        return avx512 ? "avx512 avx2 baseline" : "avx2 baseline";
#endif
    return "baseline";
}
