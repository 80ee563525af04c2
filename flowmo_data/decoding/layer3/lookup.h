/* Tables for looking codes and values up, made once by `layer3_make_lookup_tables`. */
#ifndef FLOWMO_LAYER3_LOOKUP_H
#define FLOWMO_LAYER3_LOOKUP_H

#include "bits.h"

enum {
    MAX_VALUE = 15 + (1 << 13) - 1, /* of a line: 15 and 13 linbits */
    PLAIN_INDEX_BITS = 11,          /* first-level tables are indexed by as many bits at most: without linbits, ... */
    LINBITS_INDEX_BITS = 10,        /* ... and with them: their entries are four times as large */
    QUADRUPLE_INDEX_BITS = 10,
    GAIN_OF_1 = 420, /* index of 2^0 in GAINS; the index counts quarters of an octave */
    NUM_GAINS = 480,
};

/* The tables of one table_select. The index is the next `index_bits` bits.
 *
 *   plain entry      bits 0-5 length of code and signs, bit 6 set: the code is longer, 7 zero, bits 8-15 x * 16 + y
 *   linbits entry    bits 0-7 length of all, 8-15 of what comes before the sign of x, 16-23 where x's linbits start,
 *                    counted from below, 24-31 how many there are, 32-39 and 40-47 the same for y, 48-53 length of what
 *                    comes before the sign of y, 54-57 x, 58-61 y, bit 63 set: the code is longer
 *   longer           bits 0-7 how many further bits index `longer_codes`, 8-31 from where on
 */
struct codebook {
    const void *first_level; /* uint16_t or, with linbits, uint64_t; NULL: all values are 0 */
    const uint32_t *longer;
    uint8_t index_bits, linbits;
};

/* Within the library, so that their addresses are known when it is linked. */
#pragma GCC visibility push(hidden)

extern struct codebook layer3_codebooks[32];
extern uint16_t layer3_longer_codes[]; /* bits 0-4 length, 5-8 x, 9-12 y */

/* A pair by (x * 16 + y) * 4 and the last two bits of its code and signs, each value raised to 4/3. */
extern float layer3_pairs[256 * 4][2];

/* Quadruples: by table and the next ten bits. One: bits 0-5 length with signs, 6-15 which of the 81.
 * Up to two: bits 0-6 length of all, 7 set: there are two, 8-15 the first, 16-23 the second. */
extern uint16_t layer3_one_quadruple[2][1 << QUADRUPLE_INDEX_BITS];
extern uint32_t layer3_two_quadruples[2][1 << QUADRUPLE_INDEX_BITS];
extern float layer3_quadruples[81][4];

extern float layer3_power_4_3[MAX_VALUE + 1]; /* x^(4/3) */
extern float layer3_gains[NUM_GAINS];         /* 2^((i - GAIN_OF_1) / 4) */

/* Lines in groups of eight: the band of a group's first line, and how many bands further each line is, 0 to 7. */
extern uint8_t layer3_first_band[8][3][LINES / 8];
extern uint8_t layer3_band_behind_first[8][3][LINES];

/* x^(4/3) with the sign that is the top bit of `bits`. */
INLINE void signed_power(uint64_t x, uint64_t bits, float *out)
{
    uint32_t power;
    memcpy(&power, &layer3_power_4_3[x], sizeof power);
    power |= (uint32_t)(bits >> 32) & 0x80000000u;
    memcpy(out, &power, sizeof power);
}

void layer3_make_lookup_tables(void);

/* A call in the loops of pairs would cost more than it does, as it may change most registers. This one changes none. */
#if defined(__x86_64__) && !defined(__clang__)
#define LEAVES_REGISTERS_ALONE __attribute__((no_caller_saved_registers))
#else
#define LEAVES_REGISTERS_ALONE
#endif

/* Decodes a pair whose code is longer than the index. Returns the bits used. */
LEAVES_REGISTERS_ALONE uint32_t layer3_long_pair(uint64_t bits, const struct codebook *codebook, float *out);

#pragma GCC visibility pop

#endif
