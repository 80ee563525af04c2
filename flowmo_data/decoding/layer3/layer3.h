/* What the stages share: sizes, what a packet says about itself, and the state that outlives a stage.
 *
 * The standard's frame is called a packet here. A granule is 576 lines of one channel, the unit of all stages:
 *
 *   packet ── side_info.c ──> granules
 *   bits ── huffman.c ──> lines[576] ── requantize.c, stereo.c ──> lines[576] ── imdct.c ──> slots[18][32]
 *   slots ── synthesis.c ──> 576 samples ── output.c ──> the caller's memory
 */
#ifndef FLOWMO_LAYER3_LAYER3_H
#define FLOWMO_LAYER3_LAYER3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALIGNED __attribute__((aligned(64)))
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
#define EXPORT __attribute__((visibility("default"))) /* all else is hidden: setup.py */

enum {
    LINES = 576,              /* frequency lines, and samples, of a granule */
    SUBBANDS = 32,            /* of the polyphase filter bank */
    SLOTS = 18,               /* samples of a subband in a granule: 18 x 32 = 576 */
    MAX_BANDS = 39,           /* scale factor bands, short ones counted once a window */
    SPARE_LINES = 16,         /* behind 576: the last quadruple may reach past the end, and vectors are whole */
    RESERVOIR_BYTES = 511,    /* the most that main_data_begin can say: 9 bits */
    MAX_PACKET_BYTES = 8192,  /* a longer packet is refused; free format at 1,411 kbit/s has 4,608 */
    MAX_GRANULE_BYTES = 2048, /* what decoding a granule may read behind its first bit: see huffman.c */
};

/* How a granule's lines are laid out. Mixed blocks have long bands first, then short ones. */
enum kind { LONG, SHORT, MIXED };

/* Why a packet was refused. The numbers are part of the interface: native.py names them. */
enum verdict {
    DECODED,
    HEADER_DIFFERS,         /* no header of Layer III, or not of the first packet's stream */
    BAD_SIDE_INFO,          /* values that no encoder may write */
    MAIN_DATA_MISSING,      /* main_data_begin points at bytes that are not there */
    GRANULES_TOO_LONG,      /* the granules claim more bits than the packet has */
    SCALE_FACTORS_TOO_LONG, /* scale factors end behind the granule */
    VALUES_TOO_LONG,        /* Huffman codes end behind the granule */
    TOO_LOUD,               /* more energy than any signal has: see requantize.c */
};

/* Side information of one granule of one channel, clause 2.4.1.7. */
struct granule {
    uint16_t part2_3_length; /* bits of scale factors and Huffman codes */
    uint16_t big_values;     /* pairs */
    uint16_t scalefac_compress;
    uint8_t global_gain;
    uint8_t block_type; /* 0 normal, 1 start, 2 short, 3 stop */
    uint8_t window_switching;
    uint8_t mixed_block;
    uint8_t table_select[3];
    uint8_t region_count[2];
    uint8_t subblock_gain[3];
    uint8_t preflag;
    uint8_t scalefac_scale;
    uint8_t count1_table;
    uint8_t scfsi; /* bit 3 - k: scale factor group k is the first granule's */
    uint8_t kind;  /* enum kind */
};

/* What a header says that matters here, clause 2.4.1.3. */
struct header {
    bool lsf; /* low sampling frequency: MPEG-2 and 2.5 */
    bool protected_by_crc;
    bool mid_side, intensity;
    uint8_t channels;
    uint8_t rate;     /* 0 to 7: row of BAND_STARTS */
    uint8_t granules; /* 2, or 1 at low sampling frequencies */
    uint8_t side_info_bytes;
};

/* Scale factors of one channel, and where intensity stereo may not be used (13818-3 clause 2.4.3.2). */
struct scale_factors {
    uint8_t value[MAX_BANDS + 1];
    uint8_t illegal[MAX_BANDS + 1];
};

#endif
