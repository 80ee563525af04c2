/* Huffman codes of a granule, to lines raised to 4/3: ISO/IEC 11172-3 clauses 2.4.1.7, 2.4.2.7 and table B.7.
 *
 *   lines   [ region 0 | region 1 | region 2 | quadruples of -1, 0, 1 | zero ]
 *           '------ big_values pairs --------'- while bits are left --'
 *
 * A code's length is known only when it has been looked up, and then the next one can be: a chain of about ten cycles a
 * code. Two granules are decoded in turns, so that the two chains overlap.
 *
 * The door: nothing is known of the bits. Pairs are at most 288, of at most 47 bits (19 of a code, 13 of linbits
 * twice, and two signs), so no more than 1,692 bytes behind the granule's first bit are looked at, and eight that a
 * load takes: MAX_GRANULE_BYTES. Whether pairs ended behind the granule is checked once, after the last one.
 * Quadruples end with the granule.
 */
#include "bits.h"
#include "lookup.h"

/* A granule to be decoded. */
struct coded {
    const uint8_t *main_data;
    uint32_t position; /* first bit of the codes */
    uint32_t end;      /* one past the granule's last bit */
    struct region regions[3];
    uint8_t count1_table;
    float *lines;  /* out: LINES + SPARE_LINES */
    int num_lines; /* out: from here on all is zero, and not written; -1: pairs ended behind the granule */
};

/* The place in a bitstream. `bits` has at least 57 valid bits on top after `refill`; `used` counts in its low byte. */
struct stream {
    const uint8_t *main_data;
    uint64_t bits;
    uint32_t position, used;
    float *out;
    const void *first_level;
    unsigned shift, linbits;
    const struct codebook *codebook;
    const struct region *region, *last_region;
    int pairs; /* left in the region */
};

INLINE void refill(struct stream *s)
{
    s->position += s->used & 0xff;
    s->used = 0;
    s->bits = bits_at(s->main_data, s->position);
}

INLINE void take_long_pair(struct stream *s, float *out)
{
    refill(s);
    s->position += layer3_long_pair(s->bits, s->codebook, out);
    refill(s);
}

/* One pair without linbits: the length includes the signs, and after rotating by it they are the lowest bits. */
INLINE void plain_pair(struct stream *s, float *out)
{
    uint32_t entry = ((const uint16_t *)s->first_level)[s->bits >> s->shift];
    if (__builtin_expect(entry & 64, 0)) {
        take_long_pair(s, out);
        return;
    }
    unsigned length = entry & 63;
    s->bits = s->bits << length | s->bits >> (-length & 63);
    s->used += entry;
    memcpy(out, layer3_pairs[(entry >> 6) + (s->bits & 3)], 2 * sizeof(float));
}

/* `length` bits from bit `start` on, counted from below; both in a byte of `control`. */
INLINE uint64_t extract(uint64_t bits, uint64_t control)
{
#ifdef EXTRACT_IN_HARDWARE
    return __builtin_ia32_bextr_u64(bits, control);
#else
    return bits >> (control & 63) & ~(~0ull << (control >> 8 & 63));
#endif
}

INLINE uint64_t rotate_right(uint64_t bits, unsigned count) { return bits >> count | bits << (64 - count); }

/* One pair with linbits, without a branch on what the values are: where there are none, no bits are extracted. A zero
 * takes the next code's first bit for its sign, and is -0 then. */
INLINE void linbits_pair(struct stream *s, float *out)
{
    uint64_t entry = ((const uint64_t *)s->first_level)[s->bits >> s->shift], bits = s->bits;
    if (__builtin_expect((int64_t)entry < 0, 0)) {
        take_long_pair(s, out);
        return;
    }
    s->bits = bits << (entry & 63);
    s->used += (uint32_t)entry;
    uint64_t x = (entry >> 54 & 15) + extract(bits, rotate_right(entry, 16));
    uint64_t y = (entry >> 58 & 15) + extract(bits, rotate_right(entry, 32));
    signed_power(x, bits << (entry >> 8 & 63), out);
    signed_power(y, bits << (entry >> 48 & 63), out + 1);
}

/* How a region is read: without linbits four pairs fit a refill (4 x 13 bits); with at most 8, two (2 x 28); else
 * one. */
enum style { PLAIN, FEW_LINBITS, MANY_LINBITS };

INLINE enum style style_of(const struct stream *s)
{
    return s->linbits > 8 ? MANY_LINBITS : s->linbits ? FEW_LINBITS : PLAIN;
}

INLINE void one_pair(struct stream *s, enum style style)
{
    refill(s);
    if (style == PLAIN)
        plain_pair(s, s->out);
    else
        linbits_pair(s, s->out);
    s->out += 2;
}

/* One of four pairs; refills where the bits may not last. */
INLINE void pair_of_four(struct stream *s, int pair, enum style style)
{
    if (!pair || style == MANY_LINBITS || (style == FEW_LINBITS && pair == 2))
        refill(s);
    if (style == PLAIN)
        plain_pair(s, s->out + 2 * pair);
    else
        linbits_pair(s, s->out + 2 * pair);
}

INLINE void pairs_of_one(struct stream *s, int pairs, enum style style)
{
    for (; pairs >= 4; pairs -= 4, s->out += 8)
#pragma GCC unroll 4
        for (int pair = 0; pair < 4; pair++)
            pair_of_four(s, pair, style);
    for (; pairs > 0; pairs--)
        one_pair(s, style);
}

INLINE void pairs_of_two(struct stream *a, struct stream *b, int pairs, enum style style_a, enum style style_b)
{
    for (; pairs >= 4; pairs -= 4, a->out += 8, b->out += 8)
#pragma GCC unroll 4
        for (int pair = 0; pair < 4; pair++) {
            pair_of_four(a, pair, style_a);
            pair_of_four(b, pair, style_b);
        }
    for (; pairs > 0; pairs--) {
        one_pair(a, style_a);
        one_pair(b, style_b);
    }
}

INLINE void pairs_in_style(struct stream *s, int pairs)
{
    switch (style_of(s)) {
    case PLAIN: pairs_of_one(s, pairs, PLAIN); break;
    case FEW_LINBITS: pairs_of_one(s, pairs, FEW_LINBITS); break;
    case MANY_LINBITS: pairs_of_one(s, pairs, MANY_LINBITS); break;
    }
}

INLINE void pairs_in_styles(struct stream *a, struct stream *b, int pairs)
{
    enum style style_a = style_of(a), style_b = style_of(b);
    if (style_a == MANY_LINBITS || style_b == MANY_LINBITS) {
        pairs_in_style(a, pairs);
        pairs_in_style(b, pairs);
    } else if (style_a == PLAIN && style_b == PLAIN)
        pairs_of_two(a, b, pairs, PLAIN, PLAIN);
    else if (style_a == PLAIN)
        pairs_of_two(a, b, pairs, PLAIN, FEW_LINBITS);
    else if (style_b == PLAIN)
        pairs_of_two(a, b, pairs, FEW_LINBITS, PLAIN);
    else
        pairs_of_two(a, b, pairs, FEW_LINBITS, FEW_LINBITS);
}

/* Goes to the next region that has codes. Afterwards `pairs` is 0 only if there is none. */
INLINE void next_region(struct stream *s)
{
    while (!s->pairs && s->region < s->last_region) {
        const struct region *region = s->region++;
        s->codebook = region->codebook;
        s->first_level = s->codebook->first_level;
        s->linbits = s->codebook->linbits;
        s->shift = 64u - s->codebook->index_bits;
        s->pairs = region->pairs;
        if (!s->first_level && s->pairs) {
            memset(s->out, 0, 2 * sizeof(float) * (size_t)s->pairs);
            s->out += 2 * s->pairs;
            s->pairs = 0;
        }
    }
}

INLINE void open_stream(struct stream *s, const struct coded *c)
{
    *s = (struct stream){.main_data = c->main_data,
                         .position = c->position,
                         .out = c->lines,
                         .region = c->regions,
                         .last_region = c->regions + 3};
}

/* Up to two quadruples, of at most ten bits. Eight values are written in any case. */
INLINE void two_quadruples(struct stream *s, const uint32_t *table)
{
    uint32_t entry = table[s->bits >> (64 - QUADRUPLE_INDEX_BITS)], length = entry & 63;
    s->bits <<= length;
    s->used += length;
    memcpy(s->out, layer3_quadruples[entry >> 8 & 127], 4 * sizeof(float));
    memcpy(s->out + 4, layer3_quadruples[entry >> 16], 4 * sizeof(float));
    s->out += 4 + (entry >> 5 & 4);
}

/* Bits that are left of a granule for quadruples; negative if pairs ended behind it. */
INLINE int start_quadruples(struct stream *s, const struct coded *c)
{
    refill(s);
    return (int)(c->end - s->position);
}

/* Whether there are bits, and lines, for `count` times two quadruples. */
INLINE bool have_room(const struct stream *s, const struct coded *c, int left, int count)
{
    return left > count * QUADRUPLE_INDEX_BITS && s->out + 8 * count <= c->lines + LINES;
}

/* Decodes quadruples until the granule ends. The last one is dropped if it ends behind the granule. */
INLINE void quadruples(struct stream *s, struct coded *c, int left)
{
    bool pairs_end_behind = left < 0;
    while (have_room(s, c, left, 2)) {
        refill(s);
        two_quadruples(s, layer3_two_quadruples[c->count1_table]);
        two_quadruples(s, layer3_two_quadruples[c->count1_table]);
        left -= (int)s->used;
    }
    while (left > 0 && s->out < c->lines + LINES) {
        refill(s);
        uint32_t entry = layer3_one_quadruple[c->count1_table][s->bits >> (64 - QUADRUPLE_INDEX_BITS)];
        s->used = entry & 63;
        left -= (int)s->used;
        if (left < 0)
            break;
        memcpy(s->out, layer3_quadruples[entry >> 6], 4 * sizeof(float));
        s->out += 4;
    }
    int num_lines = (int)(s->out - c->lines);
    c->num_lines = pairs_end_behind ? -1 : num_lines < LINES ? num_lines : LINES;
}

/* As many quadruples of two granules in turns as are there for certain. Counts down the bits left. */
INLINE void quadruples_of_two(struct stream *a, struct stream *b, const struct coded *c, const struct coded *d,
                              int *left_a, int *left_b)
{
    const uint32_t *table_a = layer3_two_quadruples[c->count1_table], *table_b = layer3_two_quadruples[d->count1_table];
    while (have_room(a, c, *left_a, 4) && have_room(b, d, *left_b, 4)) {
        refill(a);
        refill(b);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            two_quadruples(a, table_a);
            two_quadruples(b, table_b);
        }
        *left_a -= (int)a->used;
        *left_b -= (int)b->used;
    }
}

NOINLINE void decode_one(struct coded *c)
{
    struct stream s;
    open_stream(&s, c);
    for (next_region(&s); s.pairs; next_region(&s)) {
        pairs_in_style(&s, s.pairs);
        s.pairs = 0;
    }
    quadruples(&s, c, start_quadruples(&s, c));
}

/* Decodes two granules in turns. */
NOINLINE void decode_two(struct coded *c, struct coded *d)
{
    struct stream a, b;
    open_stream(&a, c);
    open_stream(&b, d);
    for (;;) {
        next_region(&a);
        next_region(&b);
        if (!a.pairs || !b.pairs)
            break;
        int pairs = a.pairs < b.pairs ? a.pairs : b.pairs;
        a.pairs -= pairs;
        b.pairs -= pairs;
        pairs_in_styles(&a, &b, pairs);
    }
    for (; a.pairs; next_region(&a)) {
        pairs_in_style(&a, a.pairs);
        a.pairs = 0;
    }
    for (; b.pairs; next_region(&b)) {
        pairs_in_style(&b, b.pairs);
        b.pairs = 0;
    }
    int left_a = start_quadruples(&a, c), left_b = start_quadruples(&b, d);
    quadruples_of_two(&a, &b, c, d, &left_a, &left_b);
    quadruples(&a, c, left_a);
    quadruples(&b, d, left_b);
}
