/* From float samples to the caller's memory: the part of a stretch that is wanted, in the caller's type.
 *
 * Full scale is 1 (32,768 as an integer). Only what a type cannot hold is clipped. Rounding is to nearest, ties to
 * even. */
#include "vectors.h"

/* Types of samples. The numbers are part of the interface: native.py names them. */
enum dtype { FLOAT32, FLOAT16, BFLOAT16, INT16, NUM_DTYPES };

typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));

/* Where samples go. */
struct output {
    uint8_t *plane;      /* where the sample `start` goes */
    int64_t start, stop; /* samples of the run that are wanted, half-open */
    enum dtype dtype;
    bool streamed; /* past the caches, if they are floats */
};

static size_t bytes_of(enum dtype dtype) { return dtype == FLOAT32 ? 4 : 2; }

/* Lanes of `a` where the mask is all ones, else of `b`. */
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)(((ivec)a & mask) | ((ivec)b & ~mask)); }

INLINE vec clip(vec v, float low, float high)
{
    vec lowest = zero() + low, highest = zero() + high;
    v = choose(v < lowest, lowest, v);
    return choose(v > highest, highest, v);
}

/* Adding 1.5 x 2^23 leaves no bits for fractions, so that the sum's lowest bits are the rounded number. */
INLINE uvec to_int16(vec v)
{
    const float to_integers = 12582912.0f;
    return (uvec)(clip(v * 32768.0f, -32768.0f, 32767.0f) + to_integers);
}

/* The upper half of a float, rounded by the lower one. */
INLINE uvec to_bfloat16(vec v)
{
    uvec bits = (uvec)v;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/* Normal numbers: exponents count from another place, and 13 bits are rounded off. Below 2^-14, adding 1/2 moves the
 * bits that a half has to the bottom. */
INLINE uvec to_float16(vec v)
{
    uvec bits = (uvec)clip(v, -65504.0f, 65504.0f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uvec normal = (magnitude + 0xc8000fff + (magnitude >> 13 & 1)) >> 13;
    uvec small = (uvec)((vec)magnitude + 0.5f) - 0x3f000000;
    uvec is_small = (uvec)(magnitude < 0x38800000);
    return sign | (small & is_small) | (normal & ~is_small);
}

INLINE void convert(const float *from, uint8_t *to, int count, enum dtype dtype)
{
    for (int i = 0; i < count; i += LANES) {
        vec v = load_unaligned(from + i);
        uvec bits = dtype == INT16 ? to_int16(v) : dtype == BFLOAT16 ? to_bfloat16(v) : to_float16(v);
        halves half = __builtin_convertvector(bits, halves);
        int left = count - i < LANES ? count - i : LANES;
        if (left == LANES)
            memcpy(to + 2 * i, &half, sizeof half);
        else
            memcpy(to + 2 * i, &half, 2 * (size_t)left);
    }
}

/* Writes `count` samples; those are read in whole vectors. */
NOINLINE void write_samples(const float *from, uint8_t *to, int count, enum dtype dtype)
{
    switch (dtype) {
    case INT16: convert(from, to, count, INT16); break;
    case BFLOAT16: convert(from, to, count, BFLOAT16); break;
    case FLOAT16: convert(from, to, count, FLOAT16); break;
    default: memcpy(to, from, sizeof(float) * (size_t)count);
    }
}

/* Does the same as `window_block` for floats, past the caches: by way of memory that is in them. */
static void stream_block(const float *row, int64_t sample, const struct output *output)
{
    enum { COUNT = BLOCK_SLOTS * SUBBANDS };
    float ALIGNED samples[COUNT];
    if (sample + COUNT <= output->start || sample >= output->stop)
        return;
    for (int slot = 0; slot < BLOCK_SLOTS; slot += WINDOW_SLOTS)
        window_slots(row + slot * ROW, samples + slot * SUBBANDS);
    int64_t from = sample < output->start ? output->start - sample : 0;
    int64_t to = sample + COUNT > output->stop ? output->stop - sample : COUNT;
    stream(samples + from, (float *)output->plane + (sample + from - output->start), (size_t)(to - from));
}

/* Writes the samples of a block of slots that are wanted. `row` is the block's first slot, and `sample` its first
 * sample in the run. Whole windows of floats go straight to where they belong. */
static void window_block(const float *row, int64_t sample, const struct output *output)
{
    if (output->streamed && output->dtype == FLOAT32) {
        stream_block(row, sample, output);
        return;
    }
    enum { COUNT = WINDOW_SLOTS * SUBBANDS };
    float ALIGNED scratch[COUNT + LANES];
    for (int slot = 0; slot < BLOCK_SLOTS; slot += WINDOW_SLOTS, sample += COUNT) {
        if (sample + COUNT <= output->start || sample >= output->stop)
            continue;
        int from = sample < output->start ? (int)(output->start - sample) : 0;
        int to = sample + COUNT > output->stop ? (int)(output->stop - sample) : COUNT;
        uint8_t *place = output->plane + (size_t)(sample + from - output->start) * bytes_of(output->dtype);
        if (output->dtype == FLOAT32 && to - from == COUNT)
            window_slots(row + slot * ROW, (float *)place);
        else {
            window_slots(row + slot * ROW, scratch);
            write_samples(scratch + from, place, to - from, output->dtype);
        }
    }
}
