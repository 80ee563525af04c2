/* Makes the lookup tables from the numbers of the standard: Huffman codes of table B.7, powers, bands of lines. */
#include "lookup.h"

#include <math.h>
#include <string.h>

#include "tables.h"

enum { NUM_BOOKS = 15, NUM_PLAIN = 13, NUM_LINBITS = 16, MAX_LONGER_CODES = 4096 };

struct codebook layer3_codebooks[32];
uint16_t layer3_longer_codes[MAX_LONGER_CODES];
float ALIGNED layer3_pairs[256 * 4][2];
uint16_t ALIGNED layer3_one_quadruple[2][1 << QUADRUPLE_INDEX_BITS];
uint32_t ALIGNED layer3_two_quadruples[2][1 << QUADRUPLE_INDEX_BITS];
float ALIGNED layer3_quadruples[81][4];
float layer3_power_4_3[MAX_VALUE + 1];
float layer3_gains[NUM_GAINS];
uint8_t layer3_first_band[8][3][LINES / 8];
uint8_t layer3_band_behind_first[8][3][LINES];

static uint16_t ALIGNED plain_entries[NUM_PLAIN][1 << PLAIN_INDEX_BITS];
static uint64_t ALIGNED linbits_entries[NUM_LINBITS][1 << LINBITS_INDEX_BITS];
static uint32_t longer[NUM_BOOKS][1 << PLAIN_INDEX_BITS];
static uint32_t num_longer_codes;

static int max_of(int a, int b) { return a > b ? a : b; }

/* Makes the second-level tables of a codebook: one for each index that starts codes longer than the index. */
static void make_longer_codes(int book, int index_bits)
{
    int first = PAIR_BOOKS[book][0], size = PAIR_BOOKS[book][1];
    for (int prefix = 0; prefix < 1 << index_bits; prefix++) {
        int most = 0; /* further bits of the longest code that starts so */
        for (int i = 0; i < size * size; i++) {
            int further = PAIR_LENGTHS[first + i] - index_bits;
            if (further > 0 && PAIR_CODES[first + i] >> further == prefix)
                most = max_of(most, further);
        }
        if (!most)
            continue;
        longer[book][prefix] = num_longer_codes << 8 | (uint32_t)most;
        for (int i = 0; i < size * size; i++) {
            int length = PAIR_LENGTHS[first + i], further = length - index_bits;
            if (further <= 0 || PAIR_CODES[first + i] >> further != prefix)
                continue;
            uint32_t rest = PAIR_CODES[first + i] & ((1u << further) - 1), x = (uint32_t)(i / size),
                     y = (uint32_t)(i % size);
            for (uint32_t j = 0; j < 1u << (most - further); j++)
                layer3_longer_codes[num_longer_codes + (rest << (most - further)) + j] =
                    (uint16_t)((uint32_t)length | x << 5 | y << 9);
        }
        num_longer_codes += 1u << most;
    }
}

/* What a table without linbits says about a code; see lookup.h. */
static uint16_t plain_entry(int length, int x, int y)
{
    return (uint16_t)((length + (x > 0) + (y > 0)) | (x * 16 + y) << 8);
}

/* What a table with linbits says about a code; see lookup.h. */
static uint64_t linbits_entry(int length, int x, int y, int linbits)
{
    uint64_t x_bits = x == 15 ? (uint64_t)linbits : 0, y_bits = y == 15 ? (uint64_t)linbits : 0;
    uint64_t to_x_sign = (uint64_t)length + x_bits, to_y_sign = to_x_sign + (x > 0) + y_bits, all = to_y_sign + (y > 0);
    return all | to_x_sign << 8 | (64 - to_x_sign) << 16 | x_bits << 24 | (64 - to_y_sign) << 32 | y_bits << 40 |
           to_y_sign << 48 | (uint64_t)x << 54 | (uint64_t)y << 58;
}

static void make_codebook(int table, int plain)
{
    int book = BOOK_OF_TABLE[table], first = PAIR_BOOKS[book][0], size = PAIR_BOOKS[book][1], linbits = LINBITS[table];
    int longest = 0;
    for (int i = 0; i < size * size; i++)
        longest = max_of(longest, PAIR_LENGTHS[first + i]);
    int index_bits = linbits ? LINBITS_INDEX_BITS : PLAIN_INDEX_BITS;
    index_bits = longest < index_bits ? longest : index_bits;
    uint64_t *with_linbits = linbits ? linbits_entries[table - 16] : NULL;
    uint16_t *without = linbits ? NULL : plain_entries[plain];
    if (table < 16 || table == 16 || table == 24) /* the others share their codes */
        make_longer_codes(book, index_bits);
    for (int i = 0; i < 1 << index_bits; i++)
        if (longer[book][i]) {
            if (linbits)
                with_linbits[i] = 1ull << 63;
            else
                without[i] = 64;
        }
    for (int i = 0; i < size * size; i++) {
        int length = PAIR_LENGTHS[first + i], rest = index_bits - length;
        for (int j = 0; rest >= 0 && j < 1 << rest; j++) {
            int index = (PAIR_CODES[first + i] << rest) + j;
            if (linbits)
                with_linbits[index] = linbits_entry(length, i / size, i % size, linbits);
            else
                without[index] = plain_entry(length, i / size, i % size);
        }
    }
    const void *entries = linbits ? (const void *)with_linbits : (const void *)without;
    layer3_codebooks[table] = (struct codebook){entries, longer[book], (uint8_t)index_bits, (uint8_t)linbits};
}

static void make_pairs(void)
{
    for (int x = 0; x < 16; x++)
        for (int y = 0; y < 16; y++)
            for (int last = 0; last < 4; last++) {
                bool x_negative = y ? last >> 1 : last & 1, y_negative = last & 1;
                float *pair = layer3_pairs[(x * 16 + y) * 4 + last];
                pair[0] = x && x_negative ? -layer3_power_4_3[x] : layer3_power_4_3[x];
                pair[1] = y && y_negative ? -layer3_power_4_3[y] : layer3_power_4_3[y];
            }
}

static void make_quadruples(void)
{
    for (int i = 0; i < 81; i++)
        for (int line = 3, rest = i; line >= 0; line--, rest /= 3)
            layer3_quadruples[i][line] = (float)(rest % 3 - 1);
    for (int table = 0; table < 2; table++) {
        uint16_t *one = layer3_one_quadruple[table];
        for (int values = 0; values < 16; values++) {
            int num_signs = __builtin_popcount((unsigned)values);
            int length = QUADRUPLE_LENGTHS[table][values] + num_signs, rest = QUADRUPLE_INDEX_BITS - length;
            for (int signs = 0; signs < 1 << num_signs; signs++) {
                int which = 0, left = num_signs;
                for (int line = 3; line >= 0; line--) {
                    int value = 0;
                    if (values >> line & 1)
                        value = signs >> --left & 1 ? -1 : 1;
                    which = which * 3 + value + 1;
                }
                int code = QUADRUPLE_CODES[table][values] << num_signs | signs;
                for (int j = 0; j < 1 << rest; j++)
                    one[(code << rest) + j] = (uint16_t)(length | which << 6);
            }
        }
        for (uint32_t i = 0; i < 1 << QUADRUPLE_INDEX_BITS; i++) {
            uint32_t length = one[i] & 63, next = one[i << length & ((1 << QUADRUPLE_INDEX_BITS) - 1)];
            bool two = length + (next & 63) <= QUADRUPLE_INDEX_BITS;
            layer3_two_quadruples[table][i] =
                (length + (two ? next & 63 : 0)) | (uint32_t)two << 7 | (uint32_t)one[i] >> 6 << 8 | next >> 6 << 16;
        }
    }
}

static void make_bands_of_lines(void)
{
    for (int rate = 0; rate < 8; rate++)
        for (int kind = 0; kind < 3; kind++)
            for (int line = 0, band = 0, first = 0; line < LINES; line++) {
                while (BAND_STARTS[rate][kind][band + 1] <= line)
                    band++;
                if (line % 8 == 0)
                    layer3_first_band[rate][kind][line / 8] = (uint8_t)(first = band);
                layer3_band_behind_first[rate][kind][line] = (uint8_t)(band - first);
            }
}

void layer3_make_lookup_tables(void)
{
    if (num_longer_codes)
        return;
    for (int x = 0; x <= MAX_VALUE; x++)
        layer3_power_4_3[x] = (float)(x * cbrt(x));
    for (int i = 0; i < NUM_GAINS; i++)
        layer3_gains[i] = (float)exp2((i - GAIN_OF_1) / 4.0);
    make_pairs();
    make_quadruples();
    make_bands_of_lines();
    for (int table = 0, plain = 0; table < 32; table++)
        if (BOOK_OF_TABLE[table] >= 0)
            make_codebook(table, table < 16 ? plain++ : 0);
}
