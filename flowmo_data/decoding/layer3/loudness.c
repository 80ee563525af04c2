/* Whether lines are louder than any signal, which only damage is: noise that was decoded as music reaches 1e9.
 *
 * Decided by a granule's lines, not by samples, so that the verdict on a packet does not depend on its neighbours. */
#include <math.h>

#include "vectors.h"

/* A granule of no lines: what is left of the overlap before it fades out. */
static const struct granule SILENT_GRANULE = {.kind = LONG};

enum { TRIAL_SLOTS = 3 * BLOCK_SLOTS }; /* three granules are 54 */

/* What a granule decodes to by itself: see `peak_alone`. */
struct trial {
    struct overlap overlap;
    struct history history;
    float ALIGNED columns[SLOTS][COLUMNS];
    float ALIGNED lines[LINES + SPARE_LINES];
    float ALIGNED slots[TRIAL_SLOTS * SUBBANDS];
};

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
    for (int slot = 0; slot < TRIAL_SLOTS; slot += BLOCK_SLOTS) {
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

/* Whether lines, of which [0, num_lines) may be other than zero, are too loud. `share`: what part of a sample is
 * theirs. */
static bool is_too_loud(struct trial *trial, const float *lines, int num_lines, const struct granule *g, int rate,
                        float share)
{
    return energy(lines, lines_in_use(g, num_lines)) > QUIET_ENERGY * share * share &&
           peak_alone(trial, lines, num_lines, g, rate) > LOUDEST_ALONE * share;
}
