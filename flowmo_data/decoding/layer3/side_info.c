/* Header and side information: ISO/IEC 11172-3 clauses 2.4.1.3 and 2.4.1.7, 13818-3 clause 2.4.1.7.
 *
 * The doors of a packet: `read_header` and `read_side_info` check every field that a later stage relies on.
 */
#include "bits.h"
#include "layer3.h"

enum { HEADER_BYTES = 4, CRC_BYTES = 2 };

/* Whether four bytes are a header of Layer III; if so, what it says. */
static bool read_header(const uint8_t *bytes, struct header *header)
{
    bool mpeg1 = bytes[1] >> 3 & 1, mpeg25 = !(bytes[1] >> 4 & 1);
    unsigned layer = bytes[1] >> 1 & 3, bitrate = bytes[2] >> 4, rate = bytes[2] >> 2 & 3, mode = bytes[3] >> 6;
    if (bytes[0] != 0xff || (bytes[1] & 0xe0) != 0xe0 || layer != 1 || (mpeg1 && mpeg25) || bitrate == 15 || rate == 3)
        return false;
    bool joint = mode == 1;
    header->lsf = !mpeg1;
    header->protected_by_crc = !(bytes[1] & 1);
    header->intensity = joint && bytes[3] >> 4 & 1;
    header->mid_side = joint && bytes[3] >> 5 & 1;
    header->channels = mode == 3 ? 1 : 2;
    header->rate = (uint8_t)(mpeg1 ? rate : !mpeg25 ? 3 + rate : rate == 2 ? 7 : 6);
    header->granules = mpeg1 ? 2 : 1;
    header->side_info_bytes = (uint8_t)(mpeg1 ? (mode == 3 ? 17 : 32) : (mode == 3 ? 9 : 17));
    return true;
}

/* Whether two headers are of one stream: version and sampling rate, and the number of channels. */
static bool same_stream(const uint8_t *a, const uint8_t *b)
{
    return ((a[1] ^ b[1]) & 0xfe) == 0 && ((a[2] ^ b[2]) & 0x0c) == 0 && (a[3] >> 6 == 3) == (b[3] >> 6 == 3);
}

/* Bytes before the main data. */
static uint32_t main_data_offset(const struct header *header)
{
    return HEADER_BYTES + (header->protected_by_crc ? CRC_BYTES : 0) + header->side_info_bytes;
}

/* The 59 bits (63 at low sampling frequencies) of one granule of one channel. Returns whether all is legal. */
static bool read_granule(const uint8_t *bytes, uint32_t position, bool lsf, struct granule *g)
{
    uint64_t bits = bits_at(bytes, position);
    g->part2_3_length = (uint16_t)take(&bits, 12);
    g->big_values = (uint16_t)take(&bits, 9);
    g->global_gain = (uint8_t)take(&bits, 8);
    g->scalefac_compress = (uint16_t)take(&bits, lsf ? 9 : 4);
    g->window_switching = (uint8_t)take(&bits, 1);
    bits = bits_at(bytes, position + (lsf ? 39 : 34));
    if (g->window_switching) {
        g->block_type = (uint8_t)take(&bits, 2);
        g->mixed_block = (uint8_t)take(&bits, 1);
        g->table_select[0] = (uint8_t)take(&bits, 5);
        g->table_select[1] = (uint8_t)take(&bits, 5);
        g->table_select[2] = 0;
        for (int window = 0; window < 3; window++)
            g->subblock_gain[window] = (uint8_t)take(&bits, 3);
        g->region_count[0] = g->region_count[1] = 0; /* not used: see region_stops */
    } else {
        g->block_type = g->mixed_block = 0;
        for (int region = 0; region < 3; region++)
            g->table_select[region] = (uint8_t)take(&bits, 5);
        g->region_count[0] = (uint8_t)take(&bits, 4);
        g->region_count[1] = (uint8_t)take(&bits, 3);
        memset(g->subblock_gain, 0, sizeof g->subblock_gain);
    }
    g->preflag = lsf ? 0 : (uint8_t)take(&bits, 1); /* at low frequencies, scalefac_compress implies it */
    g->scalefac_scale = (uint8_t)take(&bits, 1);
    g->count1_table = (uint8_t)take(&bits, 1);
    g->scfsi = 0;
    g->kind = g->block_type != 2 ? LONG : g->mixed_block ? MIXED : SHORT;
    bool reserved_block_type = g->window_switching && g->block_type == 0;
    return g->big_values <= LINES / 2 && !reserved_block_type;
}

/* Reads a packet's side information. The bytes behind it that are read, and do not matter, are at most eight.
 *
 * Returns whether all is legal; main_data_begin is read in any case. */
static bool read_side_info(const uint8_t *bytes, const struct header *header, struct granule granules[2][2],
                           uint32_t *main_data_begin)
{
    bool mono = header->channels == 1, legal = true;
    uint64_t bits = bits_at(bytes, 0);
    uint32_t scfsi[2] = {0, 0}, position;
    if (header->lsf) {
        *main_data_begin = take(&bits, 8);
        position = mono ? 9 : 10;
    } else {
        *main_data_begin = take(&bits, 9);
        take(&bits, mono ? 5 : 3); /* private_bits */
        for (int channel = 0; channel < header->channels; channel++)
            scfsi[channel] = take(&bits, 4);
        position = mono ? 18 : 20;
    }
    for (int index = 0; index < header->granules; index++)
        for (int channel = 0; channel < header->channels; channel++) {
            struct granule *granule = &granules[index][channel];
            legal &= read_granule(bytes, position, header->lsf, granule);
            if (index == 1 && granule->block_type != 2)
                granule->scfsi = (uint8_t)scfsi[channel];
            position += header->lsf ? 63 : 59;
        }
    return legal;
}
