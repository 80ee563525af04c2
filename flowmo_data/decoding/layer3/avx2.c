/* The decoder for processors with AVX2, FMA, BMI1 and BMI2. Results differ from the baseline's in the last bits,
 * since a product that is added to a sum is not rounded before. */
#if defined(__x86_64__)
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,bmi,bmi2,f16c")
#endif

#define LANES 8
#define NAME(stem) stem##_avx2
#define EXTRACT_IN_HARDWARE

#include "layer3.c"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
