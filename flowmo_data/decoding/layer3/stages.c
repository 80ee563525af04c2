/* What others call: the decoder, and each stage by itself for tests. NAME appends the instruction set. */

/* Why a call was refused; native.py has the words. */
enum call_error { NO_ERROR, BAD_STARTS, BAD_WINDOW, BAD_FIRST_HEADER, BAD_OUTPUT };

static struct decoder *decoder_in(void *memory)
{
    return (struct decoder *)(((uintptr_t)memory + _Alignof(struct decoder) - 1) &
                              ~(uintptr_t)(_Alignof(struct decoder) - 1));
}

/* Bytes of memory that `layer3_decode` needs for its state, zero when it is first used, and used by one thread at a
 * time. */
EXPORT size_t NAME(layer3_state_bytes)(void) { return sizeof(struct decoder) + _Alignof(struct decoder); }

/* Decodes samples [skip, skip + count) of a run of packets to `planes` planes of `count` samples, `plane_bytes` apart.
 *
 * With `streamed`, floats are written past the caches: for memory that is read much later.
 *
 * verdicts[i] becomes the verdict on packet i, if the window depends on it, and DECODED if it does not. */
EXPORT int NAME(layer3_decode)(void *memory, const uint8_t *data, size_t num_bytes, const uint32_t *starts,
                               const uint8_t *breaks, uint32_t num_packets, int64_t skip, int64_t count, uint8_t *out,
                               int64_t plane_bytes, int planes, int dtype, bool streamed, uint8_t *verdicts)
{
    struct decoder *d = decoder_in(memory);
    struct header *header = &d->packet.header;
    struct window window = {data, starts, breaks, num_packets, skip, count};
    if (planes < 1 || planes > 2 || dtype < 0 || dtype >= NUM_DTYPES)
        return BAD_OUTPUT;
    for (uint32_t packet = 0; packet < num_packets; packet++)
        if (starts[packet + 1] < starts[packet])
            return BAD_STARTS;
    if (!num_packets || starts[num_packets] > num_bytes)
        return BAD_STARTS;
    if (!header_fits(data + starts[0], starts[1] - starts[0], data + starts[0], header))
        return BAD_FIRST_HEADER;
    int64_t num_samples = (int64_t)num_packets * header->granules * LINES;
    if (skip < 0 || count < 0 || count > num_samples || skip > num_samples - count)
        return BAD_WINDOW;
    memset(verdicts, DECODED, num_packets);
    if (!count)
        return NO_ERROR;
    reset(d);
    d->packet.averaged = header->channels == 2 && planes == 1;
    d->planes = header->channels < planes ? header->channels : planes;
    for (int plane = 0; plane < d->planes; plane++)
        d->output[plane] = (struct output){out + plane * plane_bytes, skip, skip + count, (enum dtype)dtype, streamed};
    decode_run(d, &window, verdicts);
    if (streamed)
        end_stream();
    if (planes > d->planes)
        memcpy(out + plane_bytes, out, (size_t)count * bytes_of((enum dtype)dtype));
    return NO_ERROR;
}

/* Copies `count` floats past the caches. */
EXPORT void NAME(layer3_stream)(const float *from, float *to, size_t count)
{
    stream(from, to, count);
    end_stream();
}

/* Decodes the Huffman codes of bits [position, end). `lines` has 576 + 16 values, 64-byte aligned. Returns from where
 * on they are zero (and not written), or -1 if pairs end behind the granule. `main_data` has 2,048 bytes more than
 * are the granule's. With `twin`, the same granule is also decoded in turns with itself, to other lines. */
EXPORT int NAME(layer3_test_huffman)(const uint8_t *main_data, uint32_t position, uint32_t end, int big_values,
                                     const int table_select[3], const int region_stops[2], int count1_table,
                                     float *lines, float *twin)
{
    struct coded coded = {
        .main_data = main_data, .position = position, .end = end, .count1_table = (uint8_t)count1_table};
    int from = 0;
    for (int region = 0; region < 3; region++) {
        int stop = region < 2 && region_stops[region] < 2 * big_values ? region_stops[region] : 2 * big_values;
        coded.regions[region] =
            (struct region){&layer3_codebooks[table_select[region]], stop > from ? (stop - from) / 2 : 0};
        from = stop > from ? stop : from;
    }
    coded.lines = lines;
    if (twin) {
        struct coded other = coded;
        other.lines = twin;
        decode_two(&coded, &other);
    } else
        decode_one(&coded);
    return coded.num_lines;
}

/* Side information of one granule and channel, as ten numbers: block_type, mixed_block, global_gain, scalefac_scale,
 * preflag, subblock_gain (3), scalefac_compress, window_switching. */
static struct granule granule_of(const int fields[10])
{
    struct granule g = {.block_type = (uint8_t)fields[0],
                        .mixed_block = (uint8_t)fields[1],
                        .global_gain = (uint8_t)fields[2],
                        .scalefac_scale = (uint8_t)fields[3],
                        .preflag = (uint8_t)fields[4],
                        .scalefac_compress = (uint16_t)fields[8],
                        .window_switching = (uint8_t)fields[9]};
    for (int window = 0; window < 3; window++)
        g.subblock_gain[window] = (uint8_t)fields[5 + window];
    g.kind = g.block_type != 2 ? LONG : g.mixed_block ? MIXED : SHORT;
    return g;
}

/* Reads scale factors from bit 0 on; returns the bits read. `of_positions`: the right channel of intensity stereo. */
EXPORT int NAME(layer3_test_scale_factors)(const uint8_t *main_data, const int fields[10], bool lsf, bool of_positions,
                                           uint8_t factors[40], uint8_t illegal[40], int *preflag)
{
    struct granule g = granule_of(fields);
    struct scale_factors read = {{0}, {0}};
    uint32_t bits =
        lsf ? read_factors_lsf(main_data, 0, &g, of_positions, &read) : read_factors_mpeg1(main_data, 0, &g, &read);
    memcpy(factors, read.value, 40);
    memcpy(illegal, read.illegal, 40);
    *preflag = g.preflag;
    return (int)bits;
}

/* Multiplies 576 lines, 64-byte aligned, by their bands' gains. */
EXPORT void NAME(layer3_test_requantize)(const int fields[10], int rate, const uint8_t factors[40], float *lines)
{
    struct granule g = granule_of(fields);
    struct scale_factors read = {{0}, {0}};
    float ALIGNED gains[MAX_BANDS + 9] = {0};
    memcpy(read.value, factors, 40);
    band_gains(&g, &read, rate >= 3, 0, gains);
    requantize(lines, gains, &g, rate, LINES);
}

/* Joint stereo of 576 lines of two channels, 64-byte aligned. `fields`, `factors` and `illegal` are the right
 * channel's. The 1 / sqrt 2 of mid/side is not applied: it is part of the gains. */
EXPORT void NAME(layer3_test_stereo)(const int fields[10], int rate, bool with_mid_side, bool with_intensity,
                                     const uint8_t factors[40], const uint8_t illegal[40], float *left, float *right)
{
    struct granule g = granule_of(fields);
    struct header header = {
        .lsf = rate >= 3, .mid_side = with_mid_side, .intensity = with_intensity, .rate = (uint8_t)rate};
    struct scale_factors read;
    memcpy(read.value, factors, 40);
    memcpy(read.illegal, illegal, 40);
    if (with_intensity)
        intensity(left, right, &g, &read, &header);
    else if (with_mid_side)
        mid_side(left, right, LINES);
}

/* One granule's lines (576, 64-byte aligned, changed) to slots[18][32]; overlap[18][32] is what the one before has
 * left. */
EXPORT void NAME(layer3_test_imdct)(const int fields[10], int rate, float *lines, int num_lines, float *overlap,
                                    float *slots)
{
    struct granule g = granule_of(fields);
    struct overlap kept = {.groups = GROUPS};
    float ALIGNED columns[SLOTS][COLUMNS] = {{0}};
    memcpy(kept.samples, overlap, sizeof kept.samples);
    hybrid_synthesis(lines, num_lines, &g, rate, columns, &kept, slots);
    memcpy(overlap, kept.samples, sizeof kept.samples);
}

/* slots[num_slots][32], 64-byte aligned, to num_slots * 32 samples, from silence on; num_slots is a multiple of 24. */
EXPORT void NAME(layer3_test_synthesis)(const float *slots, int num_slots, float *samples)
{
    struct history history = {{0}};
    struct output output = {(uint8_t *)samples, 0, (int64_t)num_slots * SUBBANDS, FLOAT32, false};
    for (int slot = 0; slot < num_slots; slot += BLOCK_SLOTS) {
        transform_block(slots + slot * SUBBANDS, history.rows + PAST * ROW);
        window_block(history.rows + PAST * ROW, (int64_t)slot * SUBBANDS, &output);
        move_history(&history);
    }
}

/* Converts samples; `samples` is readable for seven more than `count`. */
EXPORT void NAME(layer3_test_output)(const float *samples, uint8_t *out, int count, int dtype)
{
    write_samples(samples, out, count, (enum dtype)dtype);
}
