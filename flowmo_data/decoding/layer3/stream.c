/* Copying past the caches.
 *
 * A store to memory that is not in the caches first reads the line that it changes, and later displaces another one. For
 * a batch, which is larger than the caches, both are in vain: a store that goes past the caches does neither.
 */
#include "vectors.h"

enum { LINE_FLOATS = 16, LINE_BYTES = 64 };

#if defined(__x86_64__)
INLINE void stream_vector(float *to, vec v)
{
#if LANES == 8
    _mm256_stream_ps(to, v);
#else
    _mm_stream_ps(to, v);
#endif
}

/* To be called before another core may learn that copies are there. */
INLINE void end_stream(void) { _mm_sfence(); }
#else
INLINE void stream_vector(float *to, vec v) { store(to, v); }
INLINE void end_stream(void) {}
#endif

/* Copies `count` floats; whole lines go past the caches. */
NOINLINE void stream(const float *from, float *to, size_t count)
{
    size_t first = -(uintptr_t)to % LINE_BYTES / sizeof(float);
    first = first < count ? first : count;
    memcpy(to, from, first * sizeof(float));
    size_t stop = first + (count - first) / LINE_FLOATS * LINE_FLOATS;
    for (size_t at = first; at < stop; at += LANES)
        stream_vector(to + at, load_unaligned(from + at));
    memcpy(to + stop, from + stop, (count - stop) * sizeof(float));
}
