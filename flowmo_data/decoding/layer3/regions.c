/* Which codebook a granule's pairs are in: ISO/IEC 11172-3 clause 2.4.2.7, region0_count and table_select. */
#include "lookup.h"

struct region {
    const struct codebook *codebook;
    int pairs;
};

/* Lines at which regions 0 and 1 stop, clause 2.4.2.7 (region0_count). With window switching, region 0 is the first
 * eight bands of long blocks, or the first three of short ones, and region 1 is the rest. */
static void region_stops(const struct granule *g, int rate, int stops[2])
{
    const uint16_t *long_starts = BAND_STARTS[rate][LONG];
    if (g->window_switching) {
        stops[0] = g->block_type == 2 ? BAND_STARTS[rate][SHORT][9] : long_starts[8];
        stops[1] = LINES;
    } else {
        int last = g->region_count[0] + g->region_count[1] + 2;
        stops[0] = long_starts[g->region_count[0] + 1];
        stops[1] = long_starts[last < 22 ? last : 22];
    }
}

/* Lays out the pairs of a granule; what is left of big_values is split at the stops. */
static void lay_out_regions(const struct granule *g, int rate, struct region regions[3])
{
    int stops[2], big_lines = 2 * g->big_values, line = 0;
    region_stops(g, rate, stops);
    for (int region = 0; region < 3; region++) {
        int stop = region < 2 && stops[region] < big_lines ? stops[region] : big_lines;
        regions[region].codebook = &layer3_codebooks[g->table_select[region]];
        regions[region].pairs = stop > line ? (stop - line) / 2 : 0;
        line = stop > line ? stop : line;
    }
}
