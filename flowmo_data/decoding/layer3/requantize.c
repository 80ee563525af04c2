/* Scale factors and requantisation: ISO/IEC 11172-3 clauses 2.4.2.7 and 2.4.3.4.7, 13818-3 clause 2.4.3.2.
 *
 *   line = sign x |x|^(4/3) x gain of its band
 *   gain = 2^((global_gain - 210)/4 - (scale factor + pretab) x (1/2 or 1) [- 2 x subblock_gain])
 *
 * Gains are powers of the fourth root of two, and so is what stereo multiplies by: see `stereo_gain` in stereo.c.
 */
#include "bits.h"
#include "lookup.h"
#include "vectors.h"

static const uint8_t SLEN[2][16] = {{0, 0, 0, 0, 3, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4},
                                    {0, 1, 2, 3, 0, 1, 2, 3, 1, 2, 3, 1, 2, 3, 2, 3}};
static const uint8_t PRETAB[22] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 2, 0};

/* Reads `count` scale factors of `length` bits; returns the position behind them. */
static uint32_t read_factors(const uint8_t *main_data, uint32_t position, uint8_t *factors, int count, unsigned length)
{
    if (!length) {
        memset(factors, 0, (size_t)count);
        return position;
    }
    uint64_t bits = 0;
    for (int i = 0, left = 0; i < count; i++, left--) {
        if (!left) {
            bits = bits_at(main_data, position + (uint32_t)i * length);
            left = 11; /* 57 bits are valid, and a factor has at most five */
        }
        factors[i] = (uint8_t)take(&bits, length);
    }
    return position + (uint32_t)count * length;
}

/* Scale factors of MPEG-1. Groups of them may be those of the first granule, which `factors` still holds. */
static uint32_t read_factors_mpeg1(const uint8_t *main_data, uint32_t position, const struct granule *g,
                                   struct scale_factors *factors)
{
    static const uint8_t groups[5] = {0, 6, 11, 16, 21};
    unsigned lengths[2] = {SLEN[0][g->scalefac_compress], SLEN[1][g->scalefac_compress]};
    if (g->kind == LONG) {
        for (int group = 0; group < 4; group++)
            if (!(g->scfsi >> (3 - group) & 1))
                position = read_factors(main_data, position, factors->value + groups[group],
                                        groups[group + 1] - groups[group], lengths[group / 2]);
        factors->value[21] = 0;
        return position;
    }
    int first = g->kind == MIXED ? 17 : 18;
    position = read_factors(main_data, position, factors->value, first, lengths[0]);
    position = read_factors(main_data, position, factors->value + first, 18, lengths[1]);
    memset(factors->value + first + 18, 0, 3); /* the highest bands have none */
    return position;
}

/* Lengths of the four groups, and which row of `LSF_GROUPS` counts them: 13818-3 clause 2.4.3.2.
 * Returns whether preflag is set. */
static bool lsf_lengths(unsigned compress, bool of_positions, unsigned lengths[4], int *row)
{
    unsigned rest = of_positions ? compress >> 1 : compress;
    memset(lengths, 0, 4 * sizeof *lengths);
    if (!of_positions && rest < 400) {
        *row = 0;
        lengths[0] = (rest >> 4) / 5, lengths[1] = (rest >> 4) % 5, lengths[2] = (rest & 15) >> 2,
        lengths[3] = rest & 3;
    } else if (!of_positions && rest < 500) {
        rest -= 400, *row = 1;
        lengths[0] = (rest >> 2) / 5, lengths[1] = (rest >> 2) % 5, lengths[2] = rest & 3;
    } else if (!of_positions) {
        rest -= 500, *row = 2;
        lengths[0] = rest / 3, lengths[1] = rest % 3;
        return true;
    } else if (rest < 180) {
        *row = 3;
        lengths[0] = rest / 36, lengths[1] = rest % 36 / 6, lengths[2] = rest % 6;
    } else if (rest < 244) {
        rest -= 180, *row = 4;
        lengths[0] = rest >> 4 & 3, lengths[1] = rest >> 2 & 3, lengths[2] = rest & 3;
    } else {
        rest -= 244, *row = 5;
        lengths[0] = rest / 3, lengths[1] = rest % 3;
    }
    return false;
}

/* Scale factors at low sampling frequencies. Those of an intensity stereo's right channel are positions:
 * `of_positions`. The largest number that fits is then no position. */
static uint32_t read_factors_lsf(const uint8_t *main_data, uint32_t position, struct granule *g, bool of_positions,
                                 struct scale_factors *factors)
{
    static const uint8_t groups[6][3][4] = {
        /* by row, and kind: long, short, mixed */
        {{6, 5, 5, 5}, {9, 9, 9, 9}, {6, 9, 9, 9}},       {{6, 5, 7, 3}, {9, 9, 12, 6}, {6, 9, 12, 6}},
        {{11, 10, 0, 0}, {18, 18, 0, 0}, {15, 18, 0, 0}}, {{7, 7, 7, 0}, {12, 12, 12, 0}, {6, 15, 12, 0}},
        {{6, 6, 6, 3}, {12, 9, 9, 6}, {6, 12, 9, 6}},     {{8, 8, 5, 0}, {15, 12, 9, 0}, {6, 18, 9, 0}}};
    unsigned lengths[4];
    int row, band = 0;
    g->preflag = lsf_lengths(g->scalefac_compress, of_positions, lengths, &row);
    for (int group = 0; group < 4; group++) {
        int count = groups[row][g->kind][group];
        position = read_factors(main_data, position, factors->value + band, count, lengths[group]);
        for (int i = band; i < band + count; i++)
            factors->illegal[i] = lengths[group] && factors->value[i] == (1 << lengths[group]) - 1;
        band += count;
    }
    memset(factors->value + band, 0, 3);
    memset(factors->illegal + band, 0, 3);
    return position;
}

/* Gains of a granule's bands. `offset` is in quarters of an octave; so is the index of GAINS, which stays within the
 * table:
 *
 *   210 - 6 - 4 x (31 + 3) - 56 = 12 <= index <= 420 + 255 - 210 = 465 */
static void band_gains(const struct granule *g, const struct scale_factors *factors, bool lsf, int offset,
                       float gains[MAX_BANDS + 9])
{
    const float *gain = layer3_gains + GAIN_OF_1 - 210 + g->global_gain + offset;
    const uint8_t *factor = factors->value;
    int shift = 1 + g->scalefac_scale, long_bands = g->kind == LONG ? 22 : g->kind == SHORT ? 0 : lsf ? 6 : 8;
    for (int band = 0; band < long_bands; band++)
        gains[band] = gain[-((factor[band] + (g->preflag ? PRETAB[band] : 0)) << shift)];
    if (g->kind == LONG)
        return;
    int bands = g->kind == SHORT ? MAX_BANDS : long_bands + 30;
    for (int band = long_bands, window = 0; band < bands; band++, window = window == 2 ? 0 : window + 1)
        gains[band] = gain[-(factor[band] << shift) - 8 * g->subblock_gain[window]];
}

/* The gains of the lines from `line` on, as many as a vector has. */
INLINE vec gains_at(const float *gains, const struct granule *g, int rate, int line)
{
    const float *first = gains + layer3_first_band[rate][g->kind][line / 8];
    return look_up(first, &layer3_band_behind_first[rate][g->kind][line]);
}

/* Multiplies lines [0, num_lines) by the gains of their bands; num_lines is a multiple of LANES. */
NOINLINE void requantize(float *lines, const float *gains, const struct granule *g, int rate, int num_lines)
{
    for (int line = 0; line < num_lines; line += LANES)
        store(lines + line, load(lines + line) * gains_at(gains, g, rate, line));
}

/* Sum of the squares of lines [0, num_lines), a multiple of six vectors. Six sums, as one would wait for itself. */
NOINLINE float energy(const float *lines, int num_lines)
{
    enum { SUMS = 6 };
    vec sums[SUMS] = {zero(), zero(), zero(), zero(), zero(), zero()};
    for (int line = 0; line < num_lines; line += SUMS * LANES)
#pragma GCC unroll 6
        for (int i = 0; i < SUMS; i++)
            sums[i] += load(lines + line + i * LANES) * load(lines + line + i * LANES);
    vec sum = (sums[0] + sums[1]) + (sums[2] + sums[3]) + (sums[4] + sums[5]);
    float total = 0;
    for (int lane = 0; lane < LANES; lane++)
        total += sum[lane];
    return total;
}
