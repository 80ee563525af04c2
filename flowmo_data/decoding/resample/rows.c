/* Resampling with a row of taps for each phase: for rates whose ratio has small numbers. 48 to 44.1 kHz has 147 phases.
 *
 * Output sample j lies at input sample j * old / new. Its taps meet the input samples from floor(j * old / new) - half + 1
 * on. `new` output samples are a period: the next `new` have the same taps, and meet the input `old` samples later.
 *
 * So the output is cut into SEGMENTS of as many whole periods, which are all at the same phase:
 *
 *   out     start                                                                   stop
 *           [ segment 0        )[ segment 1        )[ ...            )[ last segment )
 *   input   [ ... old * periods )[ ...
 *
 * With the input transposed, a row has one sample for each segment, and a tap is the same for all of a row. No element of
 * a vector meets another one, so an output sample's sum has the same order wherever its window starts.
 *
 * This needs as many multiplications as there are taps. With AVX2, it runs at three in four of the 16 that two units can
 * do in a cycle (48 to 44.1 kHz, Xeon at 3.4 GHz).
 */
#include "vectors.h"

enum {
    SEGMENTS = 2 * LANES,
    GROUP = 4, /* consecutive phases that read the same rows: 2 * GROUP sums fit the registers */
    BLOCK =
        32, /* taps that are summed by themselves. All in one sum err by 1.2e-6 for white noise in [-1, 1], so 0.8e-6 */
};

/* One channel of input: samples [begin, begin + length), and silence on either side. */
struct input {
    const float *samples;
    ptrdiff_t stride; /* floats from one sample to the next */
    int64_t begin, length;
};

static float sample_at(const struct input *in, int64_t index)
{
    index -= in->begin;
    return index >= 0 && index < in->length ? in->samples[index * in->stride] : 0.0f;
}

static four four_samples_at(const struct input *in, int64_t index)
{
    if (index < in->begin || index + 4 > in->begin + in->length)
        return (four){sample_at(in, index), sample_at(in, index + 1), sample_at(in, index + 2),
                      sample_at(in, index + 3)};
    const float *x = in->samples + (index - in->begin) * in->stride;
    return in->stride == 1 ? load_four(x) : (four){x[0], x[in->stride], x[2 * in->stride], x[3 * in->stride]};
}

/* Writes rows [num_rows][SEGMENTS]: column s has the input from first + s * apart on. num_rows is a multiple of 4. */
static void fill_rows(const struct input *in, int64_t first, int64_t apart, int64_t num_rows, float *rows)
{
    for (int segment = 0; segment < SEGMENTS; segment += 4)
        for (int64_t row = 0; row < num_rows; row += 4) {
            four m[4];
            for (int i = 0; i < 4; i++)
                m[i] = four_samples_at(in, first + (segment + i) * apart + row);
            transpose(m);
            for (int i = 0; i < 4; i++)
                store_four(rows + (row + i) * SEGMENTS + segment, m[i]);
        }
}

/* The sums of `length` products for GROUP phases in every segment. taps: [length][GROUP]; rows: [length][SEGMENTS]. */
INLINE void convolve(const float *taps, const float *rows, int64_t length, vec sums[GROUP][2])
{
    for (int phase = 0; phase < GROUP; phase++)
        sums[phase][0] = sums[phase][1] = (vec){0};
    for (int64_t block = 0; block < length; block += BLOCK) {
        vec part[GROUP][2] = {{{0}}};
        for (int64_t tap = block; tap < at_most(block + BLOCK, length); tap++) {
            const vec left = load(rows + tap * SEGMENTS), right = load(rows + tap * SEGMENTS + LANES);
            for (int phase = 0; phase < GROUP; phase++) {
                part[phase][0] += taps[tap * GROUP + phase] * left;
                part[phase][1] += taps[tap * GROUP + phase] * right;
            }
        }
        for (int phase = 0; phase < GROUP; phase++) {
            sums[phase][0] += part[phase][0];
            sums[phase][1] += part[phase][1];
        }
    }
}

/* Writes the sums of a group, `at` samples behind the start of each segment, which is `span` samples long. Of these, the
 * group's phases [first, last) belong to the segment, and what lies within `count` samples to the output. */
INLINE void write_group(vec sums[GROUP][2], int64_t at, int64_t first, int64_t last, int64_t span, int64_t count,
                        float *out)
{
    for (int segment = 0; segment < SEGMENTS; segment += 4) {
        four m[4];
        for (int phase = 0; phase < GROUP; phase++)
            m[phase] = load_four((const float *)sums[phase] + segment);
        transpose(m);
        for (int i = 0; i < 4; i++) {
            const int64_t place = at + (segment + i) * span;
            if (first == 0 && last == GROUP && place + GROUP <= count)
                store_four(out + place, m[i]);
            else
                for (int64_t phase = first; phase < at_most(last, count - place); phase++)
                    out[place + phase] = m[i][phase];
        }
    }
}

static void resample_channel(const float *taps, int64_t length, int64_t old, int64_t new, int64_t half,
                             const struct input *in, int64_t start, int64_t stop, float *out, float *workspace)
{
    const int64_t periods = (stop - start + SEGMENTS * new - 1) / (SEGMENTS * new); /* of a segment */
    const int64_t span = periods * new, end = at_most(start + span, stop);
    const int64_t capacity = 2 * ((length + 3) / 4 * 4);
    int64_t period = start / new, group = start % new / GROUP;
    int64_t base = 0, filled = 0; /* the rows that there are: input samples [base, base + filled) of segment 0 */
    for (int64_t at; (at = period * new + group *GROUP) < end;) {
        const int64_t first = period * old + group * GROUP * old / new - half + 1;
        if (!filled || first + length > base + filled) {
            const int64_t kept = filled ? at_least(base + filled - first, 0) : 0;
            if (kept)
                memmove(workspace, workspace + (first - base) * SEGMENTS, (size_t)(kept * SEGMENTS) * sizeof(float));
            filled = kept + (capacity - kept) / 4 * 4;
            base = first;
            fill_rows(in, base + kept, periods * old, filled - kept, workspace + kept * SEGMENTS);
        }
        vec sums[GROUP][2];
        convolve(taps + group * length * GROUP, workspace + (first - base) * SEGMENTS, length, sums);
        const int64_t phases = at_most(GROUP, new - group *GROUP);
        write_group(sums, at - start, at_least(start - at, 0), at_most(phases, start + span - at), span, stop - start,
                    out);
        if (++group * GROUP >= new) {
            group = 0;
            period++;
        }
    }
}

/* Writes output samples [start, stop) of every channel.
 *
 *   taps       [groups of phases][length][GROUP]. Row 0 meets the input sample of the first tap of the group's first
 *              phase; zeros where a phase's taps begin later or end sooner, and for phases past the last
 *   old, new   rates: all products of two of old, new and the number of a sample or phase fit 63 bits
 *   half       see above
 *   in         sample i of channel c, for i in [begin, begin + num_samples), at
 *              in[(i - begin) * sample_stride + c * channel_stride]; silence on either side
 *   out        planar: channel c from out + c * out_stride on
 *   workspace  2 * (length + 3) * SEGMENTS floats
 */
EXPORT void NAME(resample_by_rows)(const float *taps, int64_t length, int64_t old, int64_t new, int64_t half,
                                   const float *in, int64_t sample_stride, int64_t channel_stride, int64_t begin,
                                   int64_t num_samples, int64_t channels, int64_t start, int64_t stop, float *out,
                                   int64_t out_stride, float *workspace)
{
    for (int64_t channel = 0; channel < channels; channel++) {
        const struct input input = {in + channel * channel_stride, (ptrdiff_t)sample_stride, begin, num_samples};
        resample_channel(taps, length, old, new, half, &input, start, stop, out + channel * out_stride, workspace);
    }
}
