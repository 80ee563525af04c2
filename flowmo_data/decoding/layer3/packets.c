/* Follows packets by their headers: ISO/IEC 11172-3 clause 2.4.3.1, the distance from one header to the next. */
#include "layer3.h"

enum { THIRD_BYTE = 2 };

/* Writes where `num_packets` packets start, the first one at `start`, in bytes of `data`.
 *
 * `lengths` has a packet's length by its header's third byte; 0 where there is no such packet.
 * Returns how many were followed: fewer if the data ends, or a length is 0. `end` becomes where the last of them
 * ends. */
EXPORT uint32_t layer3_follow_packets(const uint8_t *data, size_t num_bytes, size_t start, const uint32_t lengths[256],
                                      uint32_t num_packets, uint32_t *offsets, size_t *end)
{
    size_t position = start;
    uint32_t packet = 0;
    for (; packet < num_packets && num_bytes >= THIRD_BYTE + 1 && position <= num_bytes - (THIRD_BYTE + 1); packet++) {
        uint32_t length = lengths[data[position + THIRD_BYTE]];
        if (!length)
            break;
        offsets[packet] = (uint32_t)position;
        position += length;
    }
    *end = position;
    return packet;
}
