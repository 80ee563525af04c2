/* One packet, from side information and main data to the spectra that go into the IMDCT: the stages up to joint stereo.
 *
 * A packet is decoded whole or refused whole. Each check has a name of its own in `enum verdict`. */
#include "bits.h"
#include "lookup.h"

/* A packet's spectra on their way through the stages. */
struct packet {
    struct header header;
    struct granule granules[2][2]; /* by index in time, and channel */
    struct coded coded[2][2];
    int num_lines[2][2]; /* of requantised lines, as they go into the IMDCT */
    float ALIGNED gains[2][2][MAX_BANDS + 9];
    float ALIGNED lines[2][2][LINES + SPARE_LINES];
    struct scale_factors positions[2]; /* of the right channel, for intensity stereo */
    bool side_skipped[2];              /* channel 1 is not decoded: the average is channel 0's */
    struct trial trial;
    bool averaged;  /* stereo to one channel */
    int spectra[2]; /* how many go into the IMDCT: 1 where channels are averaged before */
};

/* Whether the average of both channels is the first one's lines: mid/side, with the same blocks in both. */
static bool can_skip_side(const struct packet *p, const struct granule granules[2])
{
    return p->averaged && p->header.mid_side && !p->header.intensity && granules[0].kind == granules[1].kind &&
           granules[0].block_type == granules[1].block_type && granules[0].mixed_block == granules[1].mixed_block;
}

/* Reads the scale factors of all granules of a packet, whose main data starts at bit `position`. */
static enum verdict read_scale_factors(struct packet *p, const uint8_t *main_data, uint32_t position)
{
    const struct header *h = &p->header;
    struct scale_factors factors[2];
    for (int index = 0; index < h->granules; index++) {
        p->side_skipped[index] = h->channels == 2 && can_skip_side(p, p->granules[index]);
        for (int channel = 0; channel < h->channels; channel++) {
            struct granule *g = &p->granules[index][channel];
            struct coded *c = &p->coded[index][channel];
            c->main_data = main_data;
            c->end = position + g->part2_3_length;
            bool decoded = !(channel && p->side_skipped[index]);
            if (decoded || (!h->lsf && index == 0)) /* the second granule may share the first one's scale factors */
                c->position = h->lsf
                                  ? read_factors_lsf(main_data, position, g, channel && h->intensity, &factors[channel])
                                  : read_factors_mpeg1(main_data, position, g, &factors[channel]);
            if (decoded) {
                if (c->position > c->end)
                    return SCALE_FACTORS_TOO_LONG;
                int offset = stereo_gain(h->mid_side, p->averaged && !p->side_skipped[index]);
                band_gains(g, &factors[channel], h->lsf, offset, p->gains[index][channel]);
                lay_out_regions(g, h->rate, c->regions);
                c->count1_table = g->count1_table;
                c->lines = p->lines[index][channel];
            }
            position = c->end;
        }
        if (h->intensity)
            p->positions[index] = factors[1];
    }
    return DECODED;
}

/* Decodes the Huffman codes of a packet. Granules are taken in pairs, the two of one channel where there are two:
 * they are more alike than the two channels, so that they are in turns for longer. */
static enum verdict decode_values(struct packet *p)
{
    struct coded *waiting = NULL;
    for (int channel = 0; channel < p->header.channels; channel++)
        for (int index = 0; index < p->header.granules; index++) {
            if (channel && p->side_skipped[index])
                continue;
            struct coded *c = &p->coded[index][channel];
            if (waiting)
                decode_two(waiting, c);
            waiting = waiting ? NULL : c;
        }
    if (waiting)
        decode_one(waiting);
    for (int index = 0; index < p->header.granules; index++)
        for (int channel = 0; channel < p->header.channels; channel++)
            if (!(channel && p->side_skipped[index]) && p->coded[index][channel].num_lines < 0)
                return VALUES_TOO_LONG;
    return DECODED;
}

static int larger(int a, int b) { return a > b ? a : b; }

/* Makes the lines [num_lines, stop) zero, which are not written yet. */
static void clear_lines(float *lines, int num_lines, int stop)
{
    if (stop > num_lines)
        memset(lines + num_lines, 0, sizeof(float) * (size_t)(stop - num_lines));
}

/* Requantises a granule of a packet, and undoes joint stereo; averages channels if that is wanted and they have the
 * same blocks. Sets `spectra` and `num_lines`. */
static void make_spectra(struct packet *p, int index)
{
    const struct header *h = &p->header;
    struct granule *g = p->granules[index];
    float(*lines)[LINES + SPARE_LINES] = p->lines[index];
    int *num_lines = p->num_lines[index];
    bool one = h->channels == 1 || p->side_skipped[index], joint = !one && (h->mid_side || h->intensity);
    bool same_blocks =
        g[0].kind == g[1].kind && g[0].block_type == g[1].block_type && g[0].mixed_block == g[1].mixed_block;
    bool average = !one && p->averaged && same_blocks;
    p->spectra[index] = one || average ? 1 : 2;
    int most = one ? p->coded[index][0].num_lines : larger(p->coded[index][0].num_lines, p->coded[index][1].num_lines);
    int joint_stop = h->intensity ? LINES : one ? 0 : larger(lines_in_use(&g[0], most), lines_in_use(&g[1], most));
    for (int channel = 0; channel < (one ? 1 : 2); channel++) {
        int num = p->coded[index][channel].num_lines;
        int stop = joint || average ? joint_stop : lines_in_use(&g[channel], num);
        clear_lines(lines[channel], num, stop);
        requantize(lines[channel], p->gains[index][channel], &g[channel], h->rate, stop);
        num_lines[channel] = joint || average ? most : num;
    }
    if (joint && h->intensity)
        intensity(lines[0], lines[1], &g[1], &p->positions[index], h);
    else if (joint)
        mid_side(lines[0], lines[1], joint_stop);
    if (average)
        add(lines[0], lines[1], joint_stop);
}

/* Whether one of a granule's spectra is too loud. */
static bool has_loud_spectrum(struct packet *p, int index)
{
    float share = p->averaged && p->spectra[index] == 2 ? 0.5f : 1; /* averaged behind the IMDCT: two halves */
    for (int channel = 0; channel < p->spectra[index]; channel++)
        if (is_too_loud(&p->trial, p->lines[index][channel], p->num_lines[index][channel], &p->granules[index][channel],
                        p->header.rate, share))
            return true;
    return false;
}

/* From side information and main data to spectra. Of the main data, the packet's own is [own, end), and what it may
 * point back at starts at `begin`, in bytes. */
static enum verdict decode_spectra(struct packet *p, const uint8_t *side_info, const uint8_t *main_data, uint32_t begin,
                                   uint32_t own, uint32_t end)
{
    uint32_t main_data_begin, bits = 0;
    if (!read_side_info(side_info, &p->header, p->granules, &main_data_begin))
        return BAD_SIDE_INFO;
    if (main_data_begin > own - begin)
        return MAIN_DATA_MISSING;
    for (int index = 0; index < p->header.granules; index++)
        for (int channel = 0; channel < p->header.channels; channel++)
            bits += p->granules[index][channel].part2_3_length;
    if (bits > 8 * (end - (own - main_data_begin)))
        return GRANULES_TOO_LONG;
    enum verdict verdict = read_scale_factors(p, main_data, 8 * (own - main_data_begin));
    if (verdict == DECODED)
        verdict = decode_values(p);
    for (int index = 0; verdict == DECODED && index < p->header.granules; index++) {
        make_spectra(p, index);
        if (has_loud_spectrum(p, index))
            verdict = TOO_LOUD;
    }
    return verdict;
}
