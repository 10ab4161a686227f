/* Fused CPU kernels on events (see frames.py and checks.py for the NumPy
 * definitions that they must agree with exactly). */
#include <stdint.h>

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
