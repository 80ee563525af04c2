/* Joint stereo: ISO/IEC 11172-3 clause 2.4.3.4.9, 13818-3 clause 2.4.3.2. Works on lines in the order of the bitstream.
 *
 *   mid/side    left = (mid + side) / sqrt 2, right = (mid - side) / sqrt 2
 *   intensity   above the right channel's last line that is not zero, both are the left one times a position's ratios
 *
 * The 1 / sqrt 2 is in the gains already, as is the 1/2 of an average of both channels: `stereo_gain`.
 */
#include <math.h>

#include "vectors.h"

/* What joint stereo and averaging multiply all lines by, in quarters of an octave.
 *
 * The average of (M + S) / sqrt 2 and (M - S) / sqrt 2 is M / sqrt 2: where the side channel is not decoded, there is
 * no 1/2. */
static int stereo_gain(bool mid_side, bool averaged) { return (mid_side ? -2 : 0) + (averaged ? -4 : 0); }

NOINLINE void mid_side(float *left, float *right, int num_lines)
{
    for (int line = 0; line < num_lines; line += LANES) {
        vec mid = load(left + line), side = load(right + line);
        store(left + line, mid + side);
        store(right + line, mid - side);
    }
}

/* Adds the right channel to the left one. */
NOINLINE void add(float *left, const float *right, int num_lines)
{
    for (int line = 0; line < num_lines; line += LANES)
        store(left + line, load(left + line) + load(right + line));
}

/* What left and right are of the line that both share. */
struct ratios {
    float left, right;
};

/* Clause 2.4.3.4.9.3: tan(position pi / 12) is the ratio of left to right, and they add up to 1. At low sampling
 * frequencies one of them is a power of `step`, by the lowest bit of scalefac_compress. */
static struct ratios intensity_ratios(unsigned position, bool lsf, bool fine)
{
    static const float left_of_position[7] = {0, 0.211324865f, 0.366025404f, 0.5f, 0.633974596f, 0.788675135f, 1};
    if (!lsf)
        return (struct ratios){left_of_position[position], 1 - left_of_position[position]};
    float step = fine ? 0.707106781f : 0.840896415f, power = 1;
    for (unsigned i = 0; i < (position + 1) / 2; i++)
        power *= step;
    return position & 1 ? (struct ratios){power, 1} : (struct ratios){1, power};
}

/* The last band that is not zero in the right channel: among long bands, and in each of the windows. -1 where all
 * are. */
struct last_bands {
    int of_long, of_window[3];
};

static struct last_bands last_bands(const float *right, const uint16_t *starts, int num_bands, int long_bands)
{
    struct last_bands last = {-1, {-1, -1, -1}};
    for (int band = 0; band < num_bands; band++)
        for (int line = starts[band]; line < starts[band + 1]; line++)
            if (right[line] != 0) {
                if (band < long_bands)
                    last.of_long = band;
                else
                    last.of_window[(band - long_bands) % 3] = band;
                break;
            }
    return last;
}

/* The position of a band, or -1 where the band is no intensity stereo.
 *
 * The highest band has no scale factor: it takes the position of the one below, or the middle if that is not
 * intensity. */
static int intensity_position(int band, int num_bands, int long_bands, const struct last_bands *last, bool lsf,
                              const struct scale_factors *factors)
{
    bool is_long = band < long_bands,
         any_short = last->of_window[0] >= 0 || last->of_window[1] >= 0 || last->of_window[2] >= 0;
    int last_band = is_long ? (any_short ? num_bands : last->of_long) : last->of_window[(band - long_bands) % 3];
    if (band <= last_band)
        return -1;
    int period = is_long ? 1 : 3, below = band - period;
    bool highest = band >= num_bands - period; /* long bands of mixed blocks are followed by 30 others */
    if (highest && below <= last_band)
        return lsf ? 0 : 3;
    int from = highest ? below : band;
    if (lsf ? factors->illegal[from] : factors->value[from] >= 7)
        return -1;
    return factors->value[from];
}

/* Intensity stereo, and mid/side in the bands that are not. */
static void intensity(float *left, float *right, const struct granule *g, const struct scale_factors *factors,
                      const struct header *header)
{
    const uint16_t *starts = BAND_STARTS[header->rate][g->kind];
    int num_bands = NUM_BANDS[header->rate][g->kind], long_bands = g->kind == LONG    ? 22
                                                                   : g->kind == SHORT ? 0
                                                                   : header->lsf      ? 6
                                                                                      : 8;
    struct last_bands last = last_bands(right, starts, num_bands, long_bands);
    float scale = header->mid_side ? 1.41421356f : 1; /* mid/side's gain is not intensity's */
    for (int band = 0; band < num_bands; band++) {
        int position = intensity_position(band, num_bands, long_bands, &last, header->lsf, factors);
        if (position >= 0) {
            struct ratios ratios = intensity_ratios((unsigned)position, header->lsf, g->scalefac_compress & 1);
            for (int line = starts[band]; line < starts[band + 1]; line++) {
                right[line] = left[line] * (ratios.right * scale);
                left[line] *= ratios.left * scale;
            }
        } else if (header->mid_side)
            for (int line = starts[band]; line < starts[band + 1]; line++) {
                float mid = left[line], side = right[line];
                left[line] = mid + side;
                right[line] = mid - side;
            }
    }
}
