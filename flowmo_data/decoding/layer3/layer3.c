/* The driver: one window of a run of packets, from bytes to samples. All stages, for one instruction set.
 *
 * This file is compiled once for each instruction set: avx512.c, avx2.c and baseline.c include it. They say how many
 * LANES a vector has, and what is appended to the NAMEs that others call.
 *
 * Which packets are decoded, for a window that starts in granule g:
 *
 *   ... | reservoir: main data only | g - 2: up to its overlap | g - 1: up to the filter bank's history | g ...
 *
 * What a granule decodes to depends on the bytes of these alone, never on where the window or the run began, nor on
 * how slots are grouped for the filter bank: a vector's lanes do not see each other there.
 */
#include "layer3.h"

#include "bits.h"
#include "lookup.h"
#include "tables.h"
#include "vectors.h"

/* In this order, as each stage knows those before. */
#include "side_info.c"
#include "regions.c"
#include "huffman.c"
#include "requantize.c"
#include "stereo.c"
#include "imdct.c"
#include "synthesis.c"
#include "loudness.c"
#include "packet.c"
#include "stream.c"
#include "output.c"

enum {
    LEAD_IN_GRANULES = 2,
    BATCH_GRANULES = 4, /* 72 slots: three blocks of the filter bank */
    BATCH_SLOTS = BATCH_GRANULES * SLOTS,
    MAIN_DATA_BYTES = 2 * MAX_PACKET_BYTES,
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
    int planes;         /* decoded: 1 or 2 */
    struct output output[2];
};

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
    uint32_t own = d->fill - (count - offset);
    return decode_spectra(&d->packet, side_info, d->main_data, d->fill - d->available, own, d->fill);
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
