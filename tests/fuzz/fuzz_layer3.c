/* A libFuzzer target for the Layer III decoder; fuzz_layer3.py compiles and runs it.
 *
 *   input   [flags | skip, 2 bytes | count, 2 bytes | packets: headers are followed as long as they fit the first one]
 *
 * What must hold, besides what the sanitizers see: samples are numbers within +-100, nothing but the window is written,
 * and a window is the same slice of the whole, to the bit.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer3.h"

typedef int decode_function(void *, const uint8_t *, size_t, const uint32_t *, const uint8_t *, uint32_t, int64_t,
                            int64_t, uint8_t *, int64_t, int, int, bool, uint8_t *);

const char *layer3_open(void);

enum { PREFIX = 5, MAX_PACKETS = 12, CANARY = 64, FLOAT32 = 0, ODD_PACKET = 417 };

/* What is there for each instruction set. */
#define FOR_EACH_VARIANT(what) what(baseline) FOR_EACH_X86_VARIANT(what)
#if defined(__x86_64__)
#define FOR_EACH_X86_VARIANT(what) what(avx2) what(avx512)
#else
#define FOR_EACH_X86_VARIANT(what)
#endif

#define DECLARE(name)                                                                                                  \
    size_t layer3_state_bytes_##name(void);                                                                            \
    decode_function layer3_decode_##name;
FOR_EACH_VARIANT(DECLARE)

struct variant {
    decode_function *decode;
    void *state;
};

static void fail(const char *what)
{
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* Bytes of a packet with this header; something where it does not say. */
static size_t packet_bytes(const uint8_t *header)
{
    static const int bitrates[2][16] = {{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
                                        {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}};
    static const int rates[4] = {44100, 48000, 32000, 44100};
    int mpeg1 = header[1] >> 3 & 1, mpeg25 = !(header[1] >> 4 & 1), bitrate = bitrates[mpeg1][header[2] >> 4];
    int rate = rates[header[2] >> 2 & 3] >> (mpeg1 ? 0 : mpeg25 ? 2 : 1);
    return bitrate ? (size_t)((mpeg1 ? 144000 : 72000) * bitrate / rate + (header[2] >> 1 & 1)) : ODD_PACKET;
}

/* Decodes to memory that has nothing behind it, and looks at what came out. Returns the samples, or NULL. */
static uint8_t *decode(const struct variant *variant, const uint8_t *data, const uint32_t *starts,
                       const uint8_t *breaks, uint32_t packets, int64_t skip, int64_t count, int planes, int dtype)
{
    size_t bytes = dtype == FLOAT32 ? 4 : 2, stride = (size_t)count * bytes + CANARY;
    uint8_t *out = malloc(planes * stride), *verdicts = malloc(packets);
    memset(out, 0xaa, planes * stride);
    int error = variant->decode(variant->state, data, starts[packets], starts, breaks, packets, skip, count, out,
                                (int64_t)stride, planes, dtype, skip > 0, verdicts);
    free(verdicts);
    if (error) {
        free(out);
        return NULL;
    }
    for (int plane = 0; plane < planes; plane++) {
        for (int i = 0; i < CANARY; i++)
            if (out[plane * stride + (size_t)count * bytes + i] != 0xaa)
                fail("more than the window is written");
        for (int64_t i = 0; dtype == FLOAT32 && i < count; i++) {
            float sample;
            memcpy(&sample, out + plane * stride + 4 * i, 4);
            if (!(fabsf(sample) <= 100))
                fail("a sample beyond 100");
        }
    }
    return out;
}

static struct variant variants[4];
static unsigned num_variants;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    const char *names = layer3_open();
#define ADD(id)                                                                                                        \
    if (strstr(names, #id))                                                                                            \
        variants[num_variants++] = (struct variant){layer3_decode_##id, calloc(1, layer3_state_bytes_##id())};
    FOR_EACH_VARIANT(ADD)
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    uint32_t starts[MAX_PACKETS + 1] = {0}, packets = 0;
    uint8_t breaks[MAX_PACKETS] = {0};
    if (size < PREFIX + 4)
        return 0;
    size_t bytes = size - PREFIX;
    uint8_t *data = malloc(bytes); /* the size to the byte, so that reading past it is seen */
    memcpy(data, input + PREFIX, bytes);
    while (packets < MAX_PACKETS && bytes - starts[packets] >= 4) {
        const uint8_t *header = data + starts[packets];
        size_t left = bytes - starts[packets], length = packet_bytes(header);
        breaks[packets] = header[2] & 1; /* private_bit */
        starts[packets + 1] = starts[packets] + (uint32_t)(length < left ? length : left);
        packets++;
    }
    int lsf = !(data[1] >> 3 & 1), planes = 1 + (input[0] & 1), dtype = input[0] >> 1 & 3;
    int64_t samples = (int64_t)packets * (lsf ? 576 : 1152);
    int64_t skip = (input[1] | input[2] << 8) % (samples + 1),
            count = (input[3] | input[4] << 8) % (samples - skip + 1);
    const struct variant *variant = &variants[(input[0] >> 5) % num_variants];
    uint8_t *whole = decode(variant, data, starts, input[0] & 16 ? breaks : NULL, packets, 0, samples, planes, dtype);
    uint8_t *part = decode(variant, data, starts, input[0] & 16 ? breaks : NULL, packets, skip, count, planes, dtype);
    size_t width = dtype == FLOAT32 ? 4 : 2;
    for (int plane = 0; whole && part && plane < planes; plane++)
        if (memcmp(part + plane * (count * width + CANARY), whole + plane * (samples * width + CANARY) + skip * width,
                   count * width))
            fail("a window is not the slice of the whole");
    free(whole);
    free(part);
    free(data);
    return 0;
}
