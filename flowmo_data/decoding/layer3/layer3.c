/* The driver: one window of a run of packets, from bytes to samples. All stages, for one instruction set.
 *
 * A file of its own includes this one for each instruction set, after saying how many LANES a vector has, and what is
 * appended to the names that others see: VARIANT.
 *
 * Which packets are decoded, for a window that starts in granule g:
 *
 *   ... | reservoir: main data only | g - 2: up to its overlap | g - 1: up to the filter bank's history | g ...
 *
 * What a granule decodes to depends on the bytes of these alone, never on where the window or the run began, nor on
 * how slots are grouped for the filter bank: a vector's lanes do not see each other there.
 */
#include "layer3.h"

#include <math.h>

#include "bits.h"
#include "lookup.h"
#include "tables.h"
#include "vectors.h"

#include "huffman.c"
#include "imdct.c"
#include "requantize.c"
#include "side_info.c"
#include "stereo.c"
#include "synthesis.c"

#include "output.c"

enum {
    LEAD_IN_GRANULES = 2,
    BATCH_GRANULES = 4, /* 72 slots: three blocks of the filter bank */
    BATCH_SLOTS = BATCH_GRANULES * SLOTS,
    MAIN_DATA_BYTES = 2 * MAX_PACKET_BYTES,
};

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
    int spectra[2];                    /* how many go into the IMDCT: 1 where channels are averaged before */
};

/* What a granule decodes to by itself: see `peak_alone`. */
struct trial {
    struct overlap overlap;
    struct history history;
    float ALIGNED columns[SLOTS][COLUMNS];
    float ALIGNED lines[LINES + SPARE_LINES];
    float ALIGNED slots[BATCH_SLOTS * SUBBANDS];
};

struct decoder {
    struct packet packet;
    struct overlap overlap[2];
    struct history history[2];
    float ALIGNED columns[SLOTS][COLUMNS];
    float ALIGNED slots[2][BATCH_SLOTS * SUBBANDS];
    uint8_t main_data[MAIN_DATA_BYTES + MAX_GRANULE_BYTES];
    uint32_t fill;      /* bytes of main data */
    uint32_t available; /* of those, how many are the stream's: since bytes were lost */
    int slots_ready;    /* in `slots` */
    int64_t sample;     /* of the run: the first that `slots` decodes to */
    bool averaged;      /* stereo to one channel */
    int planes;         /* decoded: 1 or 2 */
    struct output output[2];
    struct trial trial;
};

/* A granule of no lines: what is left of the overlap before it fades out. */
static const struct granule SILENT_GRANULE = {.kind = LONG};

/* Appends a packet's main data. What no later packet can point at is dropped when there is no room. */
static void append_main_data(struct decoder *d, const uint8_t *bytes, uint32_t count)
{
    if (d->fill + count > MAIN_DATA_BYTES) {
        uint32_t kept = d->fill < RESERVOIR_BYTES ? d->fill : RESERVOIR_BYTES;
        memmove(d->main_data, d->main_data + d->fill - kept, kept);
        d->fill = kept;
    }
    memcpy(d->main_data + d->fill, bytes, count);
    d->fill += count;
    d->available += count;
}

/* Whether a packet can be part of the run: the door for what headers say. */
static bool header_fits(const uint8_t *bytes, uint32_t count, const uint8_t *first, struct header *header)
{
    return count >= 4 && count <= MAX_PACKET_BYTES && read_header(bytes, header) && same_stream(bytes, first) &&
           count >= main_data_offset(header);
}

/* Whether the average of both channels is the first one's lines: mid/side, with the same blocks in both. */
static bool can_skip_side(const struct decoder *d, const struct header *header, const struct granule granules[2])
{
    return d->averaged && header->mid_side && !header->intensity && granules[0].kind == granules[1].kind &&
           granules[0].block_type == granules[1].block_type && granules[0].mixed_block == granules[1].mixed_block;
}

/* Reads the scale factors of all granules of a packet, whose main data starts at bit `position`. */
static enum verdict read_scale_factors(struct decoder *d, uint32_t position)
{
    struct packet *p = &d->packet;
    const struct header *h = &p->header;
    struct scale_factors factors[2];
    for (int index = 0; index < h->granules; index++) {
        p->side_skipped[index] = h->channels == 2 && can_skip_side(d, h, p->granules[index]);
        for (int channel = 0; channel < h->channels; channel++) {
            struct granule *g = &p->granules[index][channel];
            struct coded *c = &p->coded[index][channel];
            c->main_data = d->main_data;
            c->end = position + g->part2_3_length;
            bool decoded = !(channel && p->side_skipped[index]);
            if (decoded || (!h->lsf && index == 0)) /* the second granule may share the first one's scale factors */
                c->position =
                    h->lsf ? read_factors_lsf(d->main_data, position, g, channel && h->intensity, &factors[channel])
                           : read_factors_mpeg1(d->main_data, position, g, &factors[channel]);
            if (decoded) {
                if (c->position > c->end)
                    return SCALE_FACTORS_TOO_LONG;
                int offset = stereo_gain(h->mid_side, d->averaged && !p->side_skipped[index]);
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
static void make_spectra(struct decoder *d, int index)
{
    struct packet *p = &d->packet;
    const struct header *h = &p->header;
    struct granule *g = p->granules[index];
    float(*lines)[LINES + SPARE_LINES] = p->lines[index];
    int *num_lines = p->num_lines[index];
    bool one = h->channels == 1 || p->side_skipped[index], joint = !one && (h->mid_side || h->intensity);
    bool same_blocks =
        g[0].kind == g[1].kind && g[0].block_type == g[1].block_type && g[0].mixed_block == g[1].mixed_block;
    bool average = !one && d->averaged && same_blocks;
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

/* A sample depends on three granules: through the overlap, and through the filter bank's history. None of them may
 * add more than this to any sample, so that no sample is beyond 100, which is 40 dB above full scale. Music decodes
 * to 3 at most, a vector of the conformance suite to 8, and damage to 1e9. */
static const float LOUDEST_ALONE = 100.0f / 3;

/* What a granule adds to a sample is a weighted sum of its lines, and the squares of the weights add up to 17^2 at
 * most, for all kinds of blocks. So lines whose squares add up to (LOUDEST_ALONE / 17)^2 are quiet enough (Cauchy and
 * Schwarz). */
static const float QUIET_ENERGY = 3.8f;

/* The largest sample that one granule's lines decode to with nothing before and after. */
static float peak_alone(struct trial *trial, const float *lines, int num_lines, const struct granule *g, int rate)
{
    float peak = 0;
    memset(trial, 0, sizeof *trial);
    memcpy(trial->lines, lines, sizeof(float) * LINES);
    for (int index = 0; index < 3; index++)
        hybrid_synthesis(trial->lines, index ? 0 : num_lines, index ? &SILENT_GRANULE : g, rate, trial->columns,
                         &trial->overlap, trial->slots + index * SLOTS * SUBBANDS);
    for (int slot = 0; slot < BATCH_SLOTS; slot += BLOCK_SLOTS) {
        transform_block(trial->slots + slot * SUBBANDS, trial->history.rows + PAST * ROW);
        for (int row = PAST; row < PAST + BLOCK_SLOTS; row += WINDOW_SLOTS) {
            float ALIGNED samples[WINDOW_SLOTS * SUBBANDS];
            window_slots(trial->history.rows + row * ROW, samples);
            for (int sample = 0; sample < WINDOW_SLOTS * SUBBANDS; sample++)
                peak = fmaxf(peak, fabsf(samples[sample]));
        }
        move_history(&trial->history);
    }
    return peak;
}

/* Whether a granule is louder than any signal: then it is damaged. Decided by its lines, not by samples, so that a
 * packet's verdict does not depend on what is around it. */
static bool is_too_loud(struct decoder *d, int index)
{
    const struct packet *p = &d->packet;
    float share = p->spectra[index] > d->planes ? 0.5f : 1; /* the average is formed behind the IMDCT: of two halves */
    for (int channel = 0; channel < p->spectra[index]; channel++) {
        const struct granule *g = &p->granules[index][channel];
        const float *lines = p->lines[index][channel];
        int num_lines = p->num_lines[index][channel];
        if (energy(lines, lines_in_use(g, num_lines)) > QUIET_ENERGY * share * share &&
            peak_alone(&d->trial, lines, num_lines, g, p->header.rate) > LOUDEST_ALONE * share)
            return true;
    }
    return false;
}

/* From the side information to spectra. The packet's main data was the last to be appended: `own_bytes` of it. */
static enum verdict decode_spectra(struct decoder *d, const uint8_t *side_info, uint32_t own_bytes)
{
    struct packet *p = &d->packet;
    uint32_t main_data_begin, bits = 0;
    if (!read_side_info(side_info, &p->header, p->granules, &main_data_begin))
        return BAD_SIDE_INFO;
    if (main_data_begin + own_bytes > d->available)
        return MAIN_DATA_MISSING;
    for (int index = 0; index < p->header.granules; index++)
        for (int channel = 0; channel < p->header.channels; channel++)
            bits += p->granules[index][channel].part2_3_length;
    if (bits > 8 * (main_data_begin + own_bytes))
        return GRANULES_TOO_LONG;
    enum verdict verdict = read_scale_factors(d, 8 * (d->fill - own_bytes - main_data_begin));
    if (verdict == DECODED)
        verdict = decode_values(p);
    for (int index = 0; verdict == DECODED && index < p->header.granules; index++) {
        make_spectra(d, index);
        if (is_too_loud(d, index))
            verdict = TOO_LOUD;
    }
    return verdict;
}

/* Decodes the slots that are ready, in whole blocks: behind them, in the last one, comes what does not matter. */
static void flush_slots(struct decoder *d)
{
    for (int slot = 0; slot < d->slots_ready; slot += BLOCK_SLOTS)
        for (int plane = 0; plane < d->planes; plane++) {
            struct history *history = &d->history[plane];
            transform_block(d->slots[plane] + slot * SUBBANDS, history->rows + PAST * ROW);
            window_block(history->rows + PAST * ROW, d->sample + slot * SUBBANDS, &d->output[plane]);
            move_history(history);
        }
    d->sample += d->slots_ready * SUBBANDS;
    d->slots_ready = 0;
}

/* IMDCT of one granule in all planes; `heard`: its slots are handed on to the filter bank. */
static void decode_slots(struct decoder *d, int index, bool refused, bool heard)
{
    struct packet *p = &d->packet;
    float *slots[2] = {d->slots[0] + d->slots_ready * SUBBANDS, d->slots[1] + d->slots_ready * SUBBANDS};
    int spectra = refused ? d->planes : p->spectra[index];
    for (int channel = 0; channel < spectra; channel++) {
        const struct granule *g = refused ? &SILENT_GRANULE : &p->granules[index][channel];
        hybrid_synthesis(p->lines[index][channel], refused ? 0 : p->num_lines[index][channel], g, p->header.rate,
                         d->columns, &d->overlap[channel], slots[channel]);
    }
    if (spectra > d->planes) { /* averaged here, as the channels' blocks differ */
        add(slots[0], slots[1], LINES);
        add(d->overlap[0].samples[0], d->overlap[1].samples[0], LINES);
        memset(d->overlap[1].samples, 0, sizeof d->overlap[1].samples);
        d->overlap[0].groups = larger(d->overlap[0].groups, d->overlap[1].groups);
        d->overlap[1].groups = 0;
    }
    if (heard)
        d->slots_ready += SLOTS;
    if (d->slots_ready == BATCH_SLOTS)
        flush_slots(d);
}

/* What a call asks for. native.py has the same fields. */
struct window {
    const uint8_t *data;
    const uint32_t *starts; /* byte at which each packet starts, and the end of the last */
    const uint8_t *breaks;  /* other than 0: bytes were lost before the packet; may be NULL */
    uint32_t num_packets;
    int64_t skip, count; /* samples before the window, and in it */
};

/* The packet from which on main data is gathered: as far before `packet` as main_data_begin can point. */
static uint32_t first_needed(const struct window *w, uint32_t packet)
{
    struct header header;
    uint32_t missing = RESERVOIR_BYTES;
    while (packet > 0 && missing && !(w->breaks && w->breaks[packet])) {
        const uint8_t *bytes = w->data + w->starts[packet - 1];
        uint32_t count = w->starts[packet] - w->starts[packet - 1];
        if (!header_fits(bytes, count, w->data + w->starts[0], &header))
            break; /* its main data is not known */
        packet--;
        uint32_t main_data = count - main_data_offset(&header);
        missing -= main_data < missing ? main_data : missing;
    }
    return packet;
}

/* Reads one packet's main data and, if it is `decoded`, its spectra. */
static enum verdict take_packet(struct decoder *d, const struct window *w, uint32_t packet, bool decoded)
{
    const uint8_t *bytes = w->data + w->starts[packet];
    uint32_t count = w->starts[packet + 1] - w->starts[packet];
    struct header *header = &d->packet.header, read;
    if (w->breaks && w->breaks[packet])
        d->available = 0;
    if (!header_fits(bytes, count, w->data + w->starts[0], &read)) {
        d->available = 0;
        return HEADER_DIFFERS;
    }
    *header = read;
    uint32_t offset = main_data_offset(header);
    append_main_data(d, bytes + offset, count - offset);
    if (!decoded)
        return DECODED;
    uint8_t side_info[32 + 8] = {0}; /* a copy, as reading takes eight bytes at a time */
    memcpy(side_info, bytes + offset - header->side_info_bytes, header->side_info_bytes);
    return decode_spectra(d, side_info, count - offset);
}

/* Decodes the window. The decoder's outputs are set. */
static void decode_run(struct decoder *d, const struct window *w, uint8_t *verdicts)
{
    int granules = d->packet.header.granules;
    int64_t heard = w->skip / LINES, last = (w->skip + w->count - 1) / LINES;
    int64_t first = heard > LEAD_IN_GRANULES ? heard - LEAD_IN_GRANULES : 0;
    int64_t history = heard > 1 ? heard - 1 : 0;
    uint32_t decoded_from = (uint32_t)(first / granules);
    d->sample = history * LINES;
    for (uint32_t packet = first_needed(w, decoded_from); packet <= (uint32_t)(last / granules); packet++) {
        bool decoded = packet >= decoded_from;
        verdicts[packet] = (uint8_t)take_packet(d, w, packet, decoded);
        for (int index = 0; decoded && index < granules; index++) {
            int64_t granule = (int64_t)packet * granules + index;
            if (granule >= first && granule <= last)
                decode_slots(d, index, verdicts[packet] != DECODED, granule >= history);
        }
    }
    flush_slots(d);
}

/* Forgets what was decoded before. */
static void reset(struct decoder *d)
{
    for (int plane = 0; plane < 2; plane++) {
        memset(&d->overlap[plane], 0, sizeof d->overlap[plane]);
        memset(d->history[plane].rows, 0, PAST * ROW * sizeof(float));
    }
    memset(d->columns, 0, sizeof d->columns);
    d->fill = d->available = 0;
    d->slots_ready = 0;
}

#include "stages.c"
