/* From header to header: ISO/IEC 11172-3 clause 2.4.1.3. headers.py has the fields and the lengths of packets. */
#include <stdbool.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default"))) /* all else is hidden: setup.py */

enum { HEADER_BYTES = 4, MONO = 0xc0 };

/* Whether four bytes are a header like the others: its second byte, with protection_bit set, and one channel or two. */
static bool is_like(const uint8_t *bytes, uint32_t second, bool mono)
{
    return bytes[0] == 0xff && (bytes[1] | 1u) == second && (bytes[3] >= MONO) == mono;
}

/* Writes where the packets start that follow one another from byte `at` on, `most` of them at most.
 *
 *   second, mono  of the headers: see above
 *   lengths       [256]: packet length by a header's third byte; 0 ends the packets
 *   end           becomes the byte at which the last packet ends, which may be past all bytes; `at` if there is none
 *
 * A packet counts if all of its header is there. Returns how many there are. */
EXPORT int64_t mpeg_follow(const uint8_t *data, int64_t num_bytes, int64_t at, uint32_t second, int mono,
                           const int32_t *lengths, uint32_t *places, int64_t most, int64_t *end)
{
    int64_t count = 0;
    while (count < most && at + HEADER_BYTES <= num_bytes && is_like(data + at, second, mono)) {
        const int32_t length = lengths[data[at + 2]];
        if (length <= 0)
            break;
        places[count++] = (uint32_t)at;
        at += length;
    }
    *end = at;
    return count;
}
