/* From lines to subband samples: ISO/IEC 11172-3 clauses 2.4.3.4.8 (reordering), 2.4.3.4.10 (alias reduction, IMDCT,
 * windows, overlap) and 2.4.3.4.10.5 (frequency inversion).
 *
 * A vector holds one line of LANES neighbouring subbands, so that all subbands take the same steps:
 *
 *   lines[576]   subband after subband, 18 lines each          (short blocks: in the order of the bitstream)
 *   columns[18]  row i: line i of the 32 subbands, with zeros on both sides: [8 zero | 32 subbands | 8 zero]
 *   slots[18]    row t: sample t of the 32 subbands
 *
 * Subbands in groups of LANES: above the last line that is not zero, only what is left of the overlap is written.
 */
#include "vectors.h"

enum { MARGIN = 8, COLUMNS = MARGIN + SUBBANDS + MARGIN, GROUPS = SUBBANDS / LANES };

/* What a channel's next granule needs of this one. */
struct overlap {
    float ALIGNED samples[SLOTS][SUBBANDS]; /* the second half of the IMDCT's output, windowed */
    int groups;                             /* above, it is zero */
};

/* Groups of subbands that lines [0, num_lines) reach, with one subband more where alias reduction spreads them. */
static int groups_of(int num_lines, bool alias)
{
    int subbands = num_lines ? (num_lines + SLOTS - 1) / SLOTS + alias : 0;
    return ((subbands < SUBBANDS ? subbands : SUBBANDS) + LANES - 1) / LANES;
}

/* Lines of a granule that have to be written, zeros included, if [0, num_lines) are not zero. */
static int lines_in_use(const struct granule *g, int num_lines)
{
    return g->kind == LONG ? groups_of(num_lines, true) * LANES * SLOTS : LINES;
}

/* The lines of long blocks, to columns. */
NOINLINE void lines_to_columns(const float *lines, float columns[SLOTS][COLUMNS], int groups)
{
    vec rows[LANES];
    for (int group = 0; group < groups; group++) {
        const float *from = lines + group * LANES * SLOTS;
        int column = MARGIN + group * LANES;
        for (int i = 0; i < 16; i += LANES) {
            load_transposed(rows, from + i, SLOTS);
            for (int row = 0; row < LANES; row++)
                store(&columns[i + row][column], rows[row]);
        }
        for (int lane = 0; lane < LANES; lane++) {
            columns[16][column + lane] = from[lane * SLOTS + 16];
            columns[17][column + lane] = from[lane * SLOTS + 17];
        }
    }
    for (int i = 0; i < 8; i++) /* alias reduction looks one subband further */
        columns[i][MARGIN + groups * LANES] = 0;
}

/* The lines of short blocks, to columns: windows are interleaved within a subband, line 3 f + w of window w.
 *
 *   bitstream   band 0: [window 0 | window 1 | window 2] band 1: [window 0 | ...
 *
 * Lines below `first` belong to the long blocks of a mixed one. */
static void reorder_short(const float *lines, float columns[SLOTS][COLUMNS], int rate, int first)
{
    const uint16_t *starts = BAND_STARTS[rate][SHORT];
    for (int line = 0; line < first; line++)
        columns[line % SLOTS][MARGIN + line / SLOTS] = lines[line];
    for (int band = 0; band < MAX_BANDS; band += 3) {
        int width = starts[band + 1] - starts[band];
        if (starts[band] < first)
            continue;
        const float *from = lines + starts[band];
        for (int i = 0; i < 3 * width; i++) {
            int line = starts[band] + i % width * 3 + i / width;
            columns[line % SLOTS][MARGIN + line / SLOTS] = from[i];
        }
    }
}

/* Alias reduction at the boundaries below subbands 1 to `boundaries`, in the lines of a mixed block. */
static void reduce_alias_in_lines(float *lines, int boundaries)
{
    for (int boundary = 1; boundary <= boundaries; boundary++)
        for (int i = 0; i < 8; i++) {
            float *below = lines + boundary * SLOTS - 1 - i, *above = lines + boundary * SLOTS + i;
            float a = *below, b = *above;
            *below = a * ALIAS_CS[i][boundary] - b * ALIAS_CA[i];
            *above = b * ALIAS_CS[i][boundary] + a * ALIAS_CA[i];
        }
}

/* Loads the 18 lines of a group, with alias reduction at all boundaries: the neighbours are one column to the left,
 * or right. `column` is the group's first subband. */
INLINE void load_with_alias(float columns[SLOTS][COLUMNS], int subband, vec lines[SLOTS])
{
    int column = MARGIN + subband;
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        vec ca = zero() + ALIAS_CA[i];
        vec low_cs = load(&ALIAS_CS[i][subband]), high_cs = load_unaligned(&ALIAS_CS[i][subband + 1]);
        lines[i] = low_cs * load(&columns[i][column]) + ca * load_unaligned(&columns[17 - i][column - 1]);
        lines[17 - i] = high_cs * load(&columns[17 - i][column]) - ca * load_unaligned(&columns[i][column + 1]);
    }
    lines[8] = load(&columns[8][column]);
    lines[9] = load(&columns[9][column]);
}

INLINE void load_lines(float columns[SLOTS][COLUMNS], int subband, vec lines[SLOTS])
{
    for (int i = 0; i < SLOTS; i++)
        lines[i] = load(&columns[i][MARGIN + subband]);
}

/* d_n = sum over m < 9 of w_m cos(pi/18 (2n + 1) m), for n < 9; w_m is w[2 m].
 *
 * Even m do not change from n to 8 - n, and odd ones change sign. cos(pi/18 j) for j = 1 to 8 has six values that are
 * not 1/2, or sums of others. */
INLINE void dct_9(const vec *w, vec d[9])
{
    const float c1 = 0.984807753f, c2 = 0.939692621f, c3 = 0.866025404f, c4 = 0.766044443f, c5 = 0.642787610f,
                c7 = 0.342020143f, c8 = 0.173648178f;
    vec w0 = w[0], w1 = w[2], w2 = w[4], w3 = w[6], w4 = w[8], w5 = w[10], w6 = w[12], w7 = w[14], w8 = w[16];
    vec sum = w0 + 0.5f * w6, difference = w0 - w6, a = w2 - w4 - w8, b = c3 * w3;
    vec even[5] = {sum + c2 * w2 + c4 * w4 + c8 * w8, difference + 0.5f * a, sum - c8 * w2 - c2 * w4 + c4 * w8,
                   sum - c4 * w2 + c8 * w4 - c2 * w8, difference - a};
    vec odd[4] = {b + c1 * w1 + c5 * w5 + c7 * w7, c3 * (w1 - w5 - w7), c5 * w1 - b - c7 * w5 + c1 * w7,
                  c7 * w1 - b + c1 * w5 - c5 * w7};
    for (int n = 0; n < 4; n++) {
        d[n] = even[n] + odd[n];
        d[8 - n] = even[n] - odd[n];
    }
    d[4] = even[4];
}

/* IMDCT of long blocks for a group of subbands: x_i = sum over k < 18 of X_k cos(pi/72 (2i + 19)(2k + 1)), i < 36.
 *
 * Two steps lead to cosine transforms of 9 points, each by 2 cos a cos b = cos(a + b) + cos(a - b).
 *
 * First: y_n = sum of X_k cos(pi/72 (2n + 1)(2k + 1)), n < 18, has all values of x: y_(i+9) for i < 9, -y_(26-i) for
 * i < 27, and -y_(i-27). With z_k = X_k + X_(k-1), 2 cos(pi/72 (2n + 1)) y_n = sum of z_k cos(pi/36 (2n + 1) k).
 *
 * Second: the even z_k of that sum are such a transform, E_n. With z_k + z_(k-2), the odd ones are another, O_n, over
 * by 2 cos(pi/36 (2n + 1)). The sum is E_n + O_n for n < 9, and E_n - O_n for 17 - n.
 *
 * WINDOW_36 is the window, times what makes a y of the sum, and the signs, frequency inversion's included. */
INLINE void imdct_36(const vec lines[SLOTS], int block_type, float *overlap, float *slots)
{
    vec z[SLOTS], even[9], odd[9];
    z[0] = lines[0];
    for (int k = 1; k < SLOTS; k++)
        z[k] = lines[k] + lines[k - 1];
    for (int k = SLOTS - 1; k >= 3; k -= 2)
        z[k] += z[k - 2];
    dct_9(z, even);
    dct_9(z + 1, odd);
    const float(*window)[8] = WINDOW_36[block_type];
#pragma GCC unroll 9
    for (int n = 0; n < 9; n++) {
        vec o = odd[n] * SECANT_9[n], sum = even[n] + o, difference = even[n] - o;
        for (int half = 0; half < 2; half++) {
            int t = half ? 9 + n : 8 - n;
            float *slot = slots + t * SUBBANDS, *kept = overlap + t * SUBBANDS;
            store(slot, difference * load(window[t]) + load(kept));
            store(kept, sum * load(window[SLOTS + t]));
        }
    }
}

/* The three IMDCTs of a short block, added to 36 samples: window w is samples 6 + 6w to 18 + 6w.
 *
 * As in `imdct_36`: y_n = sum over k < 6 of X_k cos(pi/24 (2n + 1)(2k + 1)); 2 cos(pi/24 (2n + 1)) y_n is a sum of
 * z_k cos(pi/12 (2n + 1) k), of which the even and the odd k are three values each. */
INLINE void imdct_12(const vec lines[SLOTS], vec samples[2 * SLOTS])
{
    const float c1 = 0.965925826f, c2 = 0.866025404f, c3 = 0.707106781f, c5 = 0.258819045f;
    for (int w = 0; w < 3; w++) {
        vec z[6];
        z[0] = lines[w];
        for (int k = 1; k < 6; k++)
            z[k] = lines[3 * k + w] + lines[3 * k - 3 + w];
        vec a = z[0] + 0.5f * z[4], b = c2 * z[2], c = c3 * z[3];
        vec even[3] = {a + b, z[0] - z[4], a - b};
        vec odd[3] = {c1 * z[1] + c + c5 * z[5], c3 * (z[1] - z[5]) - c, c5 * z[1] - c + c1 * z[5]};
        vec *x = samples + 6 + 6 * w;
        for (int n = 0; n < 3; n++) {
            vec sum = even[n] + odd[n], difference = even[n] - odd[n];
            x[2 - n] += difference * WINDOW_12[2 - n];
            x[3 + n] += difference * WINDOW_12[3 + n];
            x[8 - n] += sum * WINDOW_12[8 - n];
            x[9 + n] += sum * WINDOW_12[9 + n];
        }
    }
}

INLINE void imdct_short(const vec lines[SLOTS], float *overlap, float *slots)
{
    vec samples[2 * SLOTS];
    for (int t = 0; t < SLOTS; t++) {
        samples[t] = load(overlap + t * SUBBANDS) * load(INVERSION[t & 1]);
        samples[SLOTS + t] = zero();
    }
    imdct_12(lines, samples);
    for (int t = 0; t < SLOTS; t++) {
        vec sign = load(INVERSION[t & 1]);
        store(slots + t * SUBBANDS, samples[t] * sign);
        store(overlap + t * SUBBANDS, samples[SLOTS + t] * sign);
    }
}

/* All groups of long blocks. */
NOINLINE void imdct_of_long(float columns[SLOTS][COLUMNS], int groups, int block_type, float *overlap, float *slots)
{
    for (int group = 0; group < groups; group++) {
        vec lines[SLOTS];
        load_with_alias(columns, group * LANES, lines);
        imdct_36(lines, block_type, overlap + group * LANES, slots + group * LANES);
    }
}

/* All groups of short blocks. */
NOINLINE void imdct_of_short(float columns[SLOTS][COLUMNS], int groups, float *overlap, float *slots)
{
    for (int group = 0; group < groups; group++) {
        vec lines[SLOTS];
        load_lines(columns, group * LANES, lines);
        imdct_short(lines, overlap + group * LANES, slots + group * LANES);
    }
}

/* The lowest group once more, for subbands that have the normal window (clause 2.4.3.4.10.3, mixed_block_flag): the
 * first `subbands` lanes of what comes out replace the others. `before` is the overlap as it was. */
NOINLINE void imdct_of_lowest(float columns[SLOTS][COLUMNS], bool alias, int subbands, const float *before,
                              float *overlap, float *slots)
{
    vec lines[SLOTS];
    float ALIGNED kept[SLOTS * SUBBANDS], lowest[SLOTS * SUBBANDS];
    for (int t = 0; t < SLOTS; t++)
        store(kept + t * SUBBANDS, load(before + t * LANES));
    if (alias)
        load_with_alias(columns, 0, lines);
    else
        load_lines(columns, 0, lines);
    imdct_36(lines, 0, kept, lowest);
    for (int t = 0; t < SLOTS; t++)
        for (int subband = 0; subband < subbands; subband++) {
            slots[t * SUBBANDS + subband] = lowest[t * SUBBANDS + subband];
            overlap[t * SUBBANDS + subband] = kept[t * SUBBANDS + subband];
        }
}

/* Writes what is left of the overlap above the groups that were transformed. */
static void fade_out(struct overlap *overlap, int groups, float *slots)
{
    for (int group = groups; group < GROUPS; group++)
        for (int t = 0; t < SLOTS; t++) {
            float *slot = slots + t * SUBBANDS + group * LANES, *kept = overlap->samples[t] + group * LANES;
            if (group < overlap->groups) {
                store(slot, load(kept));
                store(kept, zero());
            } else
                store(slot, zero());
        }
    overlap->groups = groups;
}

/* One granule of one channel: requantised lines, of which [0, num_lines) may be other than zero, to 18 slots.
 *
 * Lines are changed. The columns' margins are zero, and stay so. */
static void hybrid_synthesis(float *lines, int num_lines, const struct granule *g, int rate,
                             float columns[SLOTS][COLUMNS], struct overlap *overlap, float *slots)
{
    int long_subbands = !g->mixed_block ? 0
                        : rate == 7     ? 4
                                        : 2,
        groups; /* 8 kHz: as far as its six lowest bands reach */
    float ALIGNED before[SLOTS * LANES];
    float *samples = overlap->samples[0];
    if (long_subbands)
        for (int t = 0; t < SLOTS; t++)
            store(before + t * LANES, load(samples + t * SUBBANDS));
    if (g->kind == LONG) {
        groups = groups_of(num_lines, true);
        lines_to_columns(lines, columns, groups);
        imdct_of_long(columns, groups, g->block_type, samples, slots);
    } else {
        const uint16_t *starts = BAND_STARTS[rate][SHORT];
        int band = 0;
        while (starts[band] < num_lines)
            band += 3; /* a band's windows are interleaved: all of it may be other than zero */
        groups = groups_of(starts[band], false);
        if (long_subbands && !groups)
            groups = 1;
        reduce_alias_in_lines(lines, long_subbands - 1);
        reorder_short(lines, columns, rate, long_subbands * SLOTS);
        imdct_of_short(columns, groups, samples, slots);
    }
    if (long_subbands && groups)
        imdct_of_lowest(columns, g->kind == LONG, long_subbands, before, samples, slots);
    fade_out(overlap, groups, slots);
}
