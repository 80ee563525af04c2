/* Polyphase synthesis: ISO/IEC 11172-3 clause 2.4.3.2, annex B tables B.3 and figure 3-A.2.
 *
 * Each slot of 32 subband samples gives a vector V of 64 values, and 32 samples are windowed sums over the V of this
 * slot and of the 15 before it ("age" 0 to 15). V has only 32 different values, those of a cosine transform of type
 * II, C_j = sum of S_k cos(j (2k + 1) pi / 64):
 *
 *   V_i = C_(16+i) for i <= 16 (C_32 is 0), -C_(48-i) for i <= 48, -C_(i-48) above
 *
 * Sample j takes V_j of even ages, and V_(32+j) of odd ones. So samples m and 32 - m take the same values, with other
 * weights:
 *
 *                 even ages                       odd ages
 *   m < 16         D_(m + 32 age) C_(16+m)        -D_(m + 32 age) C_(16-m)
 *   32 - m > 16   -D_(32 - m + 32 age) C_(16+m)   -D_(32 - m + 32 age) C_(16-m)
 *   16             nothing                        -D_(16 + 32 age) C_0
 *
 * A row of the history is C_16 ... C_31 | C_16 C_15 ... C_1 | C_0 C_15 C_14 ... (one vector), each part contiguous
 * for the sums: the third is the second's first vector, as sample 16 needs it. SYNTHESIS_WINDOW has the weights with
 * their signs.
 *
 * The transform runs across LANES slots, one in each lane.
 */
#include "vectors.h"

enum {
    HALF_GROUPS = 16 / LANES,
    ROW = 32 + LANES, /* floats of the history a slot */
    PAST = 15,        /* slots of the past that a sample depends on */
    BLOCK_SLOTS = 24, /* slots between moves of the history: a multiple of both LANES and WINDOW_SLOTS */
    WINDOW_SLOTS = 6, /* slots whose sums are held in registers */
};

/* A channel's history, the oldest slot first, and then the block's slots. */
struct history {
    float ALIGNED rows[(PAST + BLOCK_SLOTS) * ROW];
};

/* Cosine transforms of type II by halves: with x_k + x_(N-1-k), even outputs are one of N/2 points; with
 * (x_k - x_(N-1-k)) / (2 cos((2k + 1) pi / 2N)), odd ones are sums of neighbours of another. Outputs are `step`
 * apart. */
INLINE void dct_2(const vec *x, vec *out, int step)
{
    out[0] = x[0] + x[1];
    out[step] = (x[0] - x[1]) * 0.707106781f;
}

INLINE void dct_4(const vec *x, vec *out, int step)
{
    vec even[2] = {x[0] + x[3], x[1] + x[2]}, odd[2] = {(x[0] - x[3]) * SECANT_4[0], (x[1] - x[2]) * SECANT_4[1]}, o[2];
    dct_2(even, out, 2 * step);
    dct_2(odd, o, 1);
    out[step] = o[0] + o[1];
    out[3 * step] = o[1];
}

INLINE void dct_8(const vec *x, vec *out, int step)
{
    vec even[4], odd[4], o[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        even[k] = x[k] + x[7 - k];
        odd[k] = (x[k] - x[7 - k]) * SECANT_8[k];
    }
    dct_4(even, out, 2 * step);
    dct_4(odd, o, 1);
#pragma GCC unroll 4
    for (int k = 0; k < 3; k++)
        out[(2 * k + 1) * step] = o[k] + o[k + 1];
    out[7 * step] = o[3];
}

INLINE void dct_16(const vec *x, vec *out, int step)
{
    vec even[8], odd[8], o[8];
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++) {
        even[k] = x[k] + x[15 - k];
        odd[k] = (x[k] - x[15 - k]) * SECANT_16[k];
    }
    dct_8(even, out, 2 * step);
    dct_8(odd, o, 1);
#pragma GCC unroll 8
    for (int k = 0; k < 7; k++)
        out[(2 * k + 1) * step] = o[k] + o[k + 1];
    out[15 * step] = o[7];
}

INLINE void dct_32(const vec *x, vec *out)
{
    vec even[16], odd[16], o[16];
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) {
        even[k] = x[k] + x[31 - k];
        odd[k] = (x[k] - x[31 - k]) * SECANT_32[k];
    }
    dct_16(even, out, 2);
    dct_16(odd, o, 1);
#pragma GCC unroll 16
    for (int k = 0; k < 15; k++)
        out[2 * k + 1] = o[k] + o[k + 1];
    out[31] = o[15];
}

/* LANES slots to as many rows of the history. */
INLINE void transform_slots(const float *slots, float *rows)
{
    vec x[SUBBANDS], c[SUBBANDS], up[LANES], down[LANES];
#pragma GCC unroll 8
    for (int group = 0; group < SUBBANDS / LANES; group++)
        load_transposed(x + group * LANES, slots + group * LANES, SUBBANDS);
    dct_32(x, c);
#pragma GCC unroll 4
    for (int group = 0; group < HALF_GROUPS; group++) {
        for (int i = 0; i < LANES; i++) {
            int m = group * LANES + i;
            up[i] = c[16 + m];
            down[i] = m ? c[16 - m] : c[0];
        }
        transpose(up);
        transpose(down);
        for (int lane = 0; lane < LANES; lane++) {
            float *row = rows + lane * ROW;
            store(row + group * LANES, up[lane]);
            store(row + 16 + group * LANES, group ? down[lane] : with_first(up[lane], down[lane]));
            if (!group)
                store(row + 32, down[lane]);
        }
    }
}

NOINLINE void transform_block(const float *slots, float *rows)
{
    for (int slot = 0; slot < BLOCK_SLOTS; slot += LANES)
        transform_slots(slots + slot * SUBBANDS, rows + slot * ROW);
}

/* The 192 samples of WINDOW_SLOTS slots, the first of which is in `row`. */
NOINLINE void window_slots(const float *row, float *out)
{
    vec falling[WINDOW_SLOTS][HALF_GROUPS];
#pragma GCC unroll 4
    for (int group = 0; group < HALF_GROUPS; group++) {
        vec low[WINDOW_SLOTS], high[WINDOW_SLOTS]; /* samples m, and 32 - m */
#pragma GCC unroll 6
        for (int slot = 0; slot < WINDOW_SLOTS; slot++)
            low[slot] = high[slot] = zero();
#pragma GCC unroll 1
        for (int age = 0; age < 16; age += 2) {
            const float *weights = SYNTHESIS_WINDOW[age] + group * LANES, *v = hide(row - age * ROW + group * LANES);
            vec to_low = keep(load(weights)), to_high = keep(load(weights + 16));
#pragma GCC unroll 6
            for (int slot = 0; slot < WINDOW_SLOTS; slot++) {
                vec c = keep(load(v + slot * ROW));
                low[slot] += to_low * c;
                high[slot] += to_high * c;
            }
            v -= ROW;
            to_low = keep(load(weights + 32));
            to_high = keep(load(weights + 48));
#pragma GCC unroll 6
            for (int slot = 0; slot < WINDOW_SLOTS; slot++) {
                vec c = load(v + 16 + slot * ROW);
                if (group)
                    c = keep(c);
                low[slot] += to_low * c;
                high[slot] += to_high * (group ? c : load(v + 32 + slot * ROW));
            }
        }
#pragma GCC unroll 6
        for (int slot = 0; slot < WINDOW_SLOTS; slot++) {
            store_unaligned(out + slot * SUBBANDS + group * LANES, low[slot]);
            falling[slot][group] = reverse_tail(high[slot]);
        }
    }
    /* A vector of 32 - m has its first sample where it belongs one vector further on; that of 16 is in the lowest
     * one. */
#pragma GCC unroll 6
    for (int slot = 0; slot < WINDOW_SLOTS; slot++)
#pragma GCC unroll 4
        for (int group = 0; group < HALF_GROUPS; group++) {
            vec samples = with_first(falling[slot][(group + 1) % HALF_GROUPS], falling[slot][group]);
            store_unaligned(out + slot * SUBBANDS + SUBBANDS - (group + 1) * LANES, samples);
        }
}

/* Makes the block's last slots the past of the next one. */
static void move_history(struct history *history)
{
    memmove(history->rows, history->rows + BLOCK_SLOTS * ROW, PAST * ROW * sizeof(float));
}
