/* Codes that are longer than the index of the first table: ISO/IEC 11172-3 table B.7. They are rare, and this is
 * slow. */
#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC target("general-regs-only") /* so that there are few registers to be left alone */
#endif

#include "lookup.h"

/* Takes what follows a code for one of its values: linbits and sign. Returns the bits used. */
INLINE uint32_t take_value(uint64_t *bits, uint32_t value, unsigned linbits, float *out)
{
    uint32_t used = value == 15 ? linbits : 0;
    value += take(bits, used);
    signed_power(value, value ? *bits : 0, out);
    *bits <<= value > 0;
    return used + (value > 0);
}

uint32_t layer3_long_pair(uint64_t bits, const struct codebook *codebook, float *out)
{
    uint32_t longer = codebook->longer[bits >> (64 - codebook->index_bits)];
    uint32_t code = layer3_longer_codes[(longer >> 8) + top_bits(bits << codebook->index_bits, longer & 0xff)];
    uint32_t length = code & 31;
    bits <<= length;
    length += take_value(&bits, code >> 5 & 15, codebook->linbits, out);
    return length + take_value(&bits, code >> 9 & 15, codebook->linbits, out + 1);
}
