/* Resampling for processors with AVX2 and FMA. Results differ from the baseline's in the last bits, since a product that
 * is added to a sum is not rounded before. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#define LANES 8
#define NAME(stem) stem##_avx2

#include "cubics.c"
#include "rows.c"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
