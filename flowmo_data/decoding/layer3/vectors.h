/* Vectors of LANES floats, by the extensions that GCC and clang share. LANES is 4 or 8.
 *
 * What the extensions do not have, and what compilers do badly with them, is in the functions at the end.
 */
#ifndef FLOWMO_LAYER3_VECTORS_H
#define FLOWMO_LAYER3_VECTORS_H

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "layer3.h"

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint8_t bytes_of_lanes __attribute__((vector_size(LANES)));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

INLINE vec load(const float *p) { return *(const vec *)p; }
INLINE vec load_unaligned(const float *p) { return *(const vec_unaligned *)p; }
INLINE void store(float *p, vec v) { *(vec *)p = v; }
INLINE void store_unaligned(float *p, vec v) { *(vec_unaligned *)p = v; }
INLINE vec zero(void) { return (vec){0}; }

/* Keeps a value in a register: compilers would rather load it again for each of its uses. */
INLINE vec keep(vec v)
{
#if defined(__x86_64__)
    __asm__("" : "+x"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#endif
    return v;
}

/* The same pointer, of which compilers do not know where it points. Else they see that a loop's turns load some of
 * the same values, carry those from turn to turn, and run out of registers. */
INLINE const float *hide(const float *p)
{
    __asm__("" : "+r"(p));
    return p;
}

#if LANES == 8

/* Lanes 0, 7, 6, ..., 1. */
INLINE vec reverse_tail(vec v) { return SHUFFLE(v, v, 0, 7, 6, 5, 4, 3, 2, 1); }

/* Lane 0 of `first`, the others of `rest`. */
INLINE vec with_first(vec first, vec rest) { return SHUFFLE(rest, first, 8, 1, 2, 3, 4, 5, 6, 7); }

/* Four floats each from two places. */
INLINE vec load_halves(const float *low, const float *high)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}

/* Turns 4 x 4 blocks of rows r[0] to r[3], within each half: r[i] lane j becomes r[j] lane i. */
INLINE void transpose_in_halves(vec *r)
{
    vec a = SHUFFLE(r[0], r[1], 0, 8, 1, 9, 4, 12, 5, 13), b = SHUFFLE(r[0], r[1], 2, 10, 3, 11, 6, 14, 7, 15);
    vec c = SHUFFLE(r[2], r[3], 0, 8, 1, 9, 4, 12, 5, 13), d = SHUFFLE(r[2], r[3], 2, 10, 3, 11, 6, 14, 7, 15);
    r[0] = SHUFFLE(a, c, 0, 1, 8, 9, 4, 5, 12, 13);
    r[1] = SHUFFLE(a, c, 2, 3, 10, 11, 6, 7, 14, 15);
    r[2] = SHUFFLE(b, d, 0, 1, 8, 9, 4, 5, 12, 13);
    r[3] = SHUFFLE(b, d, 2, 3, 10, 11, 6, 7, 14, 15);
}

/* Loads eight rows, `stride` floats apart, of eight columns: r[column] lane row. */
INLINE void load_transposed(vec *r, const float *p, int stride)
{
    for (int row = 0; row < 4; row++) {
        r[row] = load_halves(p + row * stride, p + (row + 4) * stride);
        r[row + 4] = load_halves(p + row * stride + 4, p + (row + 4) * stride + 4);
    }
    transpose_in_halves(r);
    transpose_in_halves(r + 4);
}

/* r[i] lane j becomes r[j] lane i. */
INLINE void transpose(vec *r)
{
    transpose_in_halves(r);
    transpose_in_halves(r + 4);
    for (int i = 0; i < 4; i++) {
        vec low = r[i], high = r[i + 4];
        r[i] = SHUFFLE(low, high, 0, 1, 2, 3, 8, 9, 10, 11);
        r[i + 4] = SHUFFLE(low, high, 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

/* table[index[lane]] for indices of 0 to 7. */
INLINE vec look_up(const float *table, const uint8_t *index)
{
    __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)index));
    return _mm256_permutevar8x32_ps(load_unaligned(table), lanes);
}

#else

INLINE vec reverse_tail(vec v) { return SHUFFLE(v, v, 0, 3, 2, 1); }

INLINE vec with_first(vec first, vec rest) { return SHUFFLE(rest, first, 4, 1, 2, 3); }

INLINE void transpose(vec *r)
{
    vec a = SHUFFLE(r[0], r[1], 0, 4, 1, 5), b = SHUFFLE(r[0], r[1], 2, 6, 3, 7);
    vec c = SHUFFLE(r[2], r[3], 0, 4, 1, 5), d = SHUFFLE(r[2], r[3], 2, 6, 3, 7);
    r[0] = SHUFFLE(a, c, 0, 1, 4, 5);
    r[1] = SHUFFLE(a, c, 2, 3, 6, 7);
    r[2] = SHUFFLE(b, d, 0, 1, 4, 5);
    r[3] = SHUFFLE(b, d, 2, 3, 6, 7);
}

INLINE void load_transposed(vec *r, const float *p, int stride)
{
    for (int row = 0; row < 4; row++)
        r[row] = load_unaligned(p + row * stride);
    transpose(r);
}

INLINE vec look_up(const float *table, const uint8_t *index)
{
    return (vec){table[index[0]], table[index[1]], table[index[2]], table[index[3]]};
}

#endif
#endif
