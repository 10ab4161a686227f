/* Fused CPU kernels on events (see frames.py and checks.py for the NumPy
 * definitions that they must agree with exactly). */
#include <stdint.h>
#include <string.h>

/* As array.EVENT. */
typedef struct {
    int64_t t;
    uint16_t x, y;
    uint8_t p;
} Event;

/* Counts events per bin, polarity and pixel. Bin k has the events from
 * bounds[k] up to bounds[k + 1]; out (zeroed by the caller) is (bins, 2,
 * height, width). Returns the first event outside, or -1. */
int64_t events_histogram(const Event *events, const int64_t *bounds,
                         int64_t bins, int64_t height, int64_t width,
                         float *out) {
    const int64_t plane = height * width;
    for (int64_t k = 0; k < bins; k++, out += 2 * plane)
        for (int64_t i = bounds[k]; i < bounds[k + 1]; i++) {
            const Event e = events[i];
            if (e.x >= width || e.y >= height) return i;
            out[(e.p ? plane : 0) + e.y * width + e.x] += 1;
        }
    return -1;
}

/* found: first event earlier than the latest before it (and before all of
 * them, last), and their number; first outside of the sensor, and their
 * number. -1 where there is none. */
void events_check(const Event *events, int64_t n, int64_t last, int64_t width,
                  int64_t height, int64_t *found) {
    int64_t early = 0, first_early = -1, outside = 0, first_outside = -1;
    for (int64_t i = 0; i < n; i++) {
        const Event e = events[i];
        if (e.t < last) {
            if (!early++) first_early = i;
        } else {
            last = e.t;
        }
        if (e.x >= width || e.y >= height)
            if (!outside++) first_outside = i;
    }
    found[0] = first_early, found[1] = early;
    found[2] = first_outside, found[3] = outside;
}

/* Copies count bytes by eights, and up to 16 more. */
static void copy_eights(uint8_t *to, const uint8_t *from, int64_t count) {
    memcpy(to, from, 8);
    memcpy(to + 8, from + 8, 8);
    for (int64_t i = 16; i < count; i += 8) memcpy(to + i, from + i, 8);
}

/* A length of LZ4, of which a token has 4 bits; bytes that follow add to 15.
 * -1 if these are cut off. */
static inline int64_t lz4_length(int64_t length, const uint8_t *in, int64_t n,
                                 int64_t *at) {
    if (length < 15) return length;
    uint8_t more;
    do {
        if (*at >= n) return -1;
        length += more = in[(*at)++];
    } while (more == 255);
    return length;
}

/* One block of LZ4: expands n bytes to out, behind the `past` bytes there,
 * which it may copy, up to the place `end`. Returns where it ends, or -1 if
 * it is damaged or has more. compression.py has the definition. */
int64_t lz4_block(const uint8_t *in, int64_t n, uint8_t *out, int64_t past,
                  int64_t end) {
    int64_t at = 0, to = past;
    while (at < n) {
        const uint8_t token = in[at++];
        int64_t count = lz4_length(token >> 4, in, n, &at);
        if (count < 0 || count > n - at || count > end - to) return -1;
        if (n - at >= count + 16 && end - to >= count + 16)
            copy_eights(out + to, in + at, count);
        else
            memcpy(out + to, in + at, count);
        at += count, to += count;
        if (at == n) return to;
        if (n - at < 2) return -1;
        const int64_t back = in[at] | in[at + 1] << 8;
        at += 2;
        count = lz4_length(token & 15, in, n, &at);
        if (count < 0) return -1;
        count += 4;
        if (!back || back > to || count > end - to) return -1;
        if (back >= 8 && end - to >= count + 16)
            copy_eights(out + to, out + to - back, count);
        else  // what it copies may begin with what it has just written
            for (int64_t i = 0; i < count; i++)
                out[to + i] = out[to + i - back];
        to += count;
    }
    return -1;
}

static uint32_t turn(uint32_t value, int bits) {
    return value << bits | value >> (32 - bits);
}

/* The checksum xxHash32 with seed 0. */
uint32_t xxh32(const uint8_t *in, int64_t n) {
    const uint32_t one = 2654435761u, two = 2246822519u, three = 3266489917u,
                   four = 668265263u, five = 374761393u;
    uint32_t found = five, word;
    int64_t at = 0;
    if (n >= 16) {
        uint32_t lanes[4] = {one + two, two, 0, 0 - one};
        for (; at + 16 <= n; at += 16)
            for (int k = 0; k < 4; k++) {
                memcpy(&word, in + at + 4 * k, 4);
                lanes[k] = turn(lanes[k] + word * two, 13) * one;
            }
        found = turn(lanes[0], 1) + turn(lanes[1], 7) + turn(lanes[2], 12) +
                turn(lanes[3], 18);
    }
    found += (uint32_t)n;
    for (; at + 4 <= n; at += 4) {
        memcpy(&word, in + at, 4);
        found = turn(found + word * three, 17) * four;
    }
    for (; at < n; at++) found = turn(found + in[at] * five, 11) * one;
    found = (found ^ found >> 15) * two;
    found = (found ^ found >> 13) * three;
    return found ^ found >> 16;
}
