/* Bits of main data, the most significant first. */
#ifndef FLOWMO_LAYER3_BITS_H
#define FLOWMO_LAYER3_BITS_H

#include <string.h>

#include "layer3.h"

/* Eight bytes as a number, the first one on top. */
INLINE uint64_t load_big_endian(const uint8_t *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    number = __builtin_bswap64(number);
#endif
    return number;
}

/* The 57 bits or more from bit `position` on, at the top. Reads eight bytes. */
INLINE uint64_t bits_at(const uint8_t *bytes, uint32_t position)
{
    return load_big_endian(bytes + (position >> 3)) << (position & 7);
}

/* The top `count` bits, 0 to 63 of them. */
INLINE uint64_t top_bits(uint64_t bits, unsigned count) { return bits >> 1 >> (63 - count); }

/* Takes `count` bits, 0 to 32 of them, off the top. */
INLINE uint32_t take(uint64_t *bits, unsigned count)
{
    uint32_t value = (uint32_t)top_bits(*bits, count);
    *bits <<= count;
    return value;
}

#endif
