/* Vectors of LANES floats, 4 or 8, and of four, by the extensions that GCC and clang share. */
#ifndef FLOWMO_RESAMPLE_VECTORS_H
#define FLOWMO_RESAMPLE_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default"))) /* all else is hidden: setup.py */
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16)));
typedef float four_unaligned __attribute__((vector_size(16), aligned(4), may_alias));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (int32_t __attribute__((vector_size(16)))){__VA_ARGS__})
#endif

INLINE vec load(const float *p) { return *(const vec_unaligned *)p; }
INLINE four load_four(const float *p) { return *(const four_unaligned *)p; }
INLINE void store_four(float *p, four v) { *(four_unaligned *)p = v; }

INLINE int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* Transposes a 4 x 4 matrix. */
INLINE void transpose(four m[4])
{
    const four low01 = SHUFFLE(m[0], m[1], 0, 4, 1, 5), high01 = SHUFFLE(m[0], m[1], 2, 6, 3, 7);
    const four low23 = SHUFFLE(m[2], m[3], 0, 4, 1, 5), high23 = SHUFFLE(m[2], m[3], 2, 6, 3, 7);
    m[0] = SHUFFLE(low01, low23, 0, 1, 4, 5);
    m[1] = SHUFFLE(low01, low23, 2, 3, 6, 7);
    m[2] = SHUFFLE(high01, high23, 0, 1, 4, 5);
    m[3] = SHUFFLE(high01, high23, 2, 3, 6, 7);
}

/* The sum of a vector's elements. */
INLINE float total(vec v)
{
    four parts[LANES / 4];
    memcpy(parts, &v, sizeof parts);
    four sum = parts[0];
    for (int i = 1; i < LANES / 4; i++)
        sum += parts[i];
    sum += SHUFFLE(sum, sum, 2, 3, 0, 1);
    return sum[0] + sum[1];
}

#endif
