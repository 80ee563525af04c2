/* Resampling with taps from cubics: for any two rates, with a table of 1 MB at most.
 *
 * The filter is cut into segments, and is a cubic in each. Where a segment is a part of a sample, all taps of a phase lie
 * at the same place x of as many segments. Where rates go down so far that a segment is several samples long, several
 * taps lie in each. `behind / new` is how far an output sample lies behind an input sample, its phase.
 */
#include "vectors.h"

enum {
    CELL = 4096, /* input samples, from a multiple of it on, that are summed by themselves in single precision */
};

/* The sums of `length` products of one or two channels with taps at the same x. c: [4][stride], lowest power first.
 * Even and odd vectors are summed by themselves: in a single sum, each addition would wait for the one before. */
INLINE void dot_cubics(const float *c, int64_t stride, float x, const float *const *in, const int channels,
                       int64_t length, double *sums, int64_t sums_stride)
{
    vec part[2][2] = {{{0}}};
    float rest[2] = {0};
    int64_t tap = 0;
    for (; tap + 2 * LANES <= length; tap += 2 * LANES)
        for (int odd = 0; odd < 2; odd++) {
            const int64_t at = tap + odd * LANES;
            const vec square = load(c + 3 * stride + at) * x + load(c + 2 * stride + at);
            const vec taps = (square * x + load(c + stride + at)) * x + load(c + at);
            for (int channel = 0; channel < channels; channel++)
                part[channel][odd] += taps * load(in[channel] + at);
        }
    for (; tap < length; tap++)
        for (int channel = 0; channel < channels; channel++)
            rest[channel] += (((c[3 * stride + tap] * x + c[2 * stride + tap]) * x + c[stride + tap]) * x + c[tap]) *
                             in[channel][tap];
    for (int channel = 0; channel < channels; channel++)
        sums[channel * sums_stride] += (double)(total(part[channel][0] + part[channel][1]) + rest[channel]);
}

/* Writes taps [first, stop), from segments that are `width` samples long. c: [4][segments]. `ahead`: how far the next
 * input sample is ahead of the output sample, in (0, 1]. */
static void make_taps(const float *c, int64_t segments, int64_t width, float ahead, int64_t first, int64_t stop,
                      float *taps)
{
    const float scale = 1.0f / (float)width;
    for (int64_t segment = first / width; segment * width < stop; segment++)
        for (int64_t tap = at_least(segment * width, first); tap < at_most((segment + 1) * width, stop); tap++) {
            const float x = ((float)(tap - segment * width) + ahead) * scale;
            const float square = c[3 * segments + segment] * x + c[2 * segments + segment];
            taps[tap - first] = (square * x + c[segments + segment]) * x + c[segment];
        }
}

/* The sum of products. In four vectors, for the same reason as above. */
static double dot(const float *taps, const float *in, int64_t length)
{
    vec sums[4] = {{0}};
    float rest = 0.0f;
    int64_t tap = 0;
    for (; tap + 4 * LANES <= length; tap += 4 * LANES)
        for (int i = 0; i < 4; i++)
            sums[i] += load(taps + tap + i * LANES) * load(in + tap + i * LANES);
    for (; tap < length; tap++)
        rest += taps[tap] * in[tap];
    return (double)(total((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest);
}

/* Adds to output samples [start, stop) what input samples [begin, begin + num_samples) give.
 *
 *   coefficients         [segments_per_sample][4][taps]; or [4][segments], if segments_per_sample is 0
 *   samples_per_segment  if segments_per_sample is 0
 *   old, new, half       as in rows.c
 *   in                   planar: channel c from in + c * num_samples on; begin is not below 0
 *   sums                 planar: channel c from sums + c * sums_stride on
 *   workspace            CELL floats
 *
 * What a cell gives is added by itself, in double precision. So input may come in pieces that are cut at multiples of
 * CELL, in order: output samples depend neither on the window nor on the pieces.
 */
EXPORT void NAME(resample_by_cubics)(const float *coefficients, int64_t taps, int64_t segments_per_sample,
                                     int64_t samples_per_segment, int64_t segments, int64_t old, int64_t new,
                                     int64_t half, const float *in, int64_t begin, int64_t num_samples,
                                     int64_t channels, int64_t start, int64_t stop, double *sums, int64_t sums_stride,
                                     float *workspace)
{
    int64_t place = start / new *old + start % new *old / new, behind = start % new *old % new;
    for (int64_t index = start; index < stop; index++, sums++) {
        const int64_t first = place - half + 1, end = at_most(first + taps, begin + num_samples);
        const double phase = (double)behind / (double)new, segment = phase *(double)segments_per_sample;
        for (int64_t from = at_least(first, begin), to; from < end; from = to) {
            to = at_most((from / CELL + 1) * CELL, end);
            const float *samples = in + from - begin;
            int64_t channel = 0;
            if (segments_per_sample) {
                const float *c = coefficients + (int64_t)segment * 4 * taps + from - first;
                const float x = (float)(segment - (double)(int64_t)segment);
                for (; channel + 1 < channels; channel += 2) {
                    const float *const two[2] = {samples + channel * num_samples,
                                                 samples + (channel + 1) * num_samples};
                    dot_cubics(c, taps, x, two, 2, to - from, sums + channel * sums_stride, sums_stride);
                }
                if (channel < channels) {
                    const float *const one = samples + channel * num_samples;
                    dot_cubics(c, taps, x, &one, 1, to - from, sums + channel * sums_stride, sums_stride);
                }
            } else {
                make_taps(coefficients, segments, samples_per_segment, (float)(1.0 - phase), from - first, to - first,
                          workspace);
                for (; channel < channels; channel++)
                    sums[channel * sums_stride] += dot(workspace, samples + channel * num_samples, to - from);
            }
        }
        place += old / new;
        behind += old % new;
        if (behind >= new) {
            behind -= new;
            place++;
        }
    }
}
