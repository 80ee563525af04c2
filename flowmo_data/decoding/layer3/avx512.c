/* The decoder for processors with AVX-512 as well, by the same 256-bit vectors: twice as many registers are what it
 * gains. */
#if defined(__x86_64__)
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,f16c,avx512f,avx512vl,avx512dq,avx512bw"))),     \
                             apply_to = function)
#else
#pragma GCC target("avx2,fma,bmi,bmi2,f16c,avx512f,avx512vl,avx512dq,avx512bw")
#endif

#define LANES 8
#define NAME(stem) stem##_avx512
#define EXTRACT_IN_HARDWARE

#include "layer3.c"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
