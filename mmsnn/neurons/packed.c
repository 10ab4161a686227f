/* Spikes as bytes (see packed.py): count in the low seven bits, the gradient
 * window in the highest. NaN is the count 127, outside the window. */
#include "kernels.h"

#define INSIDE 128
#define NO_NUMBER 127

/* counts: NO_NUMBER, or 0 where only the window is to be kept. */
#define DEFINE(NAME, T, REAL, FLOOR, LOAD, STORE)                           \
    void sfa_pack_##NAME(const T *u, T *y, uint8_t *kept, int64_t n,        \
                         int64_t max_spikes, double scale, double offset,   \
                         int32_t counts, int threads) {                     \
        const REAL top = (REAL)max_spikes - 1, one = 1, s = (REAL)scale;    \
        const REAL low = (REAL)(0.5 - offset), high = (REAL)max_spikes + low; \
        PARALLEL_FOR(for (int64_t i = begin; i < end; i++) {                \
            REAL x = LOAD(u[i]);                                            \
            QUANTISE(REAL, FLOOR, x, 1 - offset)                            \
            f += one;                                                       \
            y[i] = STORE(f * s);                                            \
            int32_t c = f != f ? NO_NUMBER : (int32_t)f;                    \
            int32_t inside = (x >= low) & (x <= high) ? INSIDE : 0;         \
            kept[i] = (uint8_t)((c & counts) | inside);                     \
        })                                                                  \
    }                                                                       \
    /* Bytes of y = c * scale, without a window. */                         \
    void sfa_pack_values_##NAME(const T *y, uint8_t *kept, int64_t n,       \
                                double scale, int threads) {                \
        const REAL s = (REAL)scale;                                         \
        PARALLEL_FOR(for (int64_t i = begin; i < end; i++) {                \
            REAL f = LOAD(y[i]) / s + (REAL)0.5;                            \
            kept[i] = (uint8_t)(f != f ? NO_NUMBER : (int32_t)f);           \
        })                                                                  \
    }                                                                       \
    /* y = c * scale once more. */                                          \
    void sfa_unpack_##NAME(const uint8_t *kept, T *y, int64_t n,            \
                           double scale, int threads) {                     \
        const REAL s = (REAL)scale;                                         \
        PARALLEL_FOR(for (int64_t i = begin; i < end; i++) {                \
            int32_t c = kept[i] & NO_NUMBER;                                \
            REAL f = c == NO_NUMBER ? (REAL)NAN : (REAL)c * s;              \
            y[i] = STORE(f);                                                \
        })                                                                  \
    }                                                                       \
    void sfa_through_window_##NAME(const T *grad, const uint8_t *kept,      \
                                   T *out, int64_t n, double scale,         \
                                   int threads) {                           \
        const REAL s = (REAL)scale;                                         \
        PARALLEL_FOR(for (int64_t i = begin; i < end; i++) {                \
            REAL g = LOAD(grad[i]) * s;                                     \
            out[i] = STORE(kept[i] & INSIDE ? g : (REAL)0);                 \
        })                                                                  \
    }

DEFINE(f32, float, float, floorf, IDENTITY, IDENTITY)
DEFINE(f64, double, double, floor, IDENTITY, IDENTITY)
DEFINE(bf16, uint16_t, float, floorf, bf16_load, bf16_store)
