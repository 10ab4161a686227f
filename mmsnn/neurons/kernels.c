/* Fused CPU kernels of the SFA quantiser (see quantizer.py for the definition
 * that they must agree with, bit for bit).
 *
 * For every element u (a membrane potential over the threshold):
 *   count  c = clip(floor(u - 1/2), -1, D - 1) + 1
 *   output y = c * scale
 *   window w = 0 <= u <= D
 * NaN passes through the output and is outside the window.
 */
#include "kernels.h"

#define DEFINE(NAME, T, REAL, FLOOR, LOAD, STORE)                           \
    void sfa_forward_##NAME(const T *u, T *y, uint8_t *window, int64_t n,   \
                            double max_spikes, double scale, int threads) { \
        const REAL top = (REAL)max_spikes - 1, one = 1;                     \
        const REAL s = (REAL)scale, last = (REAL)max_spikes;                \
        if (window) {                                                       \
            PARALLEL_FOR(for (int64_t i = begin; i < end; i++) {            \
                REAL x = LOAD(u[i]);                                        \
                QUANTISE(REAL, FLOOR, x, 0.5)                               \
                y[i] = STORE((f + one) * s);                                \
                window[i] = (x >= 0) & (x <= last);                         \
            })                                                              \
        } else {                                                            \
            PARALLEL_FOR(for (int64_t i = begin; i < end; i++) {            \
                REAL x = LOAD(u[i]);                                        \
                QUANTISE(REAL, FLOOR, x, 0.5)                               \
                y[i] = STORE((f + one) * s);                                \
            })                                                              \
        }                                                                   \
    }                                                                       \
    void sfa_backward_##NAME(const T *grad, const uint8_t *window, T *out,  \
                             int64_t n, double scale, int threads) {        \
        const REAL s = (REAL)scale;                                         \
        PARALLEL_FOR(for (int64_t i = begin; i < end; i++) {                \
            REAL g = LOAD(grad[i]) * s;                                     \
            out[i] = STORE(window[i] ? g : (REAL)0);                        \
        })                                                                  \
    }                                                                       \
    /* Whether any element is NaN or infinite. */                           \
    void sfa_nonfinite_##NAME(const T *u, int64_t n, int64_t *found,        \
                              int threads) {                                \
        *found = 0;                                                         \
        PARALLEL_FOR(                                                       \
            int32_t bad = 0;                                                \
            for (int64_t i = begin; i < end; i++) {                         \
                REAL x = LOAD(u[i]);                                        \
                bad |= (x - x) != 0;                                        \
            }                                                               \
            if (bad) {                                                      \
                _Pragma("omp atomic") *found += 1;                          \
            })                                                              \
    }                                                                       \
    /* Spikes per sub-step of y = c * scale: levels[d - 1] = #(c >= d). */  \
    void sfa_levels_##NAME(const T *y, int64_t n, int64_t max_spikes,       \
                           double scale, int64_t *levels, int threads) {    \
        memset(levels, 0, max_spikes * sizeof(int64_t));                    \
        PARALLEL_FOR(                                                       \
            for (int64_t a = begin; a < end; a += 8192) {                   \
                int64_t b = a + 8192 < end ? a + 8192 : end;                \
                for (int64_t d = 0; d < max_spikes; d++) {                  \
                    const REAL edge = (REAL)((d + 0.5) * scale);            \
                    int32_t found = 0;                                      \
                    for (int64_t i = a; i < b; i++)                         \
                        found += LOAD(y[i]) >= edge;                        \
                    if (!found) break;                                      \
                    _Pragma("omp atomic") levels[d] += found;               \
                }                                                           \
            })                                                              \
    }

/* Fire and count in one pass: y = c * scale, levels[d - 1] += #(c >= d),
 * *found += 1 if an input is NaN or infinite, and, where reach is given,
 * *reached += the spikes times reach at their position. Element i lies at
 * position (i / inner) % positions: inner is 1, or the channels where they
 * lie last. y may be u. */
#define BLOCK 4096
#define DEFINE_COUNT(NAME, T, REAL, FLOOR, LOAD, STORE)                     \
    static double reached_##NAME(const REAL *c, int64_t i, int64_t end,     \
                                 const double *reach, int64_t inner,        \
                                 int64_t positions) {                       \
        double total = 0;                                                   \
        while (i < end) {                                                   \
            int64_t p = i / inner % positions;                              \
            if (inner == 1) {                                               \
                int64_t n = positions - p < end - i ? positions - p         \
                                                    : end - i;              \
                _Pragma("omp simd reduction(+:total)")                      \
                for (int64_t k = 0; k < n; k++)                             \
                    total += c[k] * reach[p + k];                           \
                i += n, c += n;                                             \
            } else {                                                        \
                int64_t n = inner - i % inner;                              \
                n = n < end - i ? n : end - i;                              \
                REAL sum = 0;                                               \
                _Pragma("omp simd reduction(+:sum)")                        \
                for (int64_t k = 0; k < n; k++) sum += c[k];                \
                total += sum * reach[p];                                    \
                i += n, c += n;                                             \
            }                                                               \
        }                                                                   \
        return total;                                                       \
    }                                                                       \
    void sfa_count_##NAME(const T *u, T *y, int64_t n, int64_t max_spikes,  \
                          double scale, int64_t *levels, double *found,     \
                          const double *reach, int64_t inner,               \
                          int64_t positions, double *reached,               \
                          int threads) {                                    \
        const REAL top = (REAL)max_spikes - 1, one = 1, s = (REAL)scale;    \
        PARALLEL_FOR(                                                       \
            REAL c[BLOCK];                                                  \
            double total = 0;                                               \
            int32_t bad = 0;                                                \
            for (int64_t a = begin; a < end; a += BLOCK) {                  \
                int64_t m = end - a < BLOCK ? end - a : BLOCK;              \
                for (int64_t i = 0; i < m; i++) {                           \
                    REAL x = LOAD(u[a + i]);                                \
                    QUANTISE(REAL, FLOOR, x, 0.5)                           \
                    bad |= (x - x) != 0;                                    \
                    c[i] = f + one;                                         \
                    y[a + i] = STORE(c[i] * s);                             \
                }                                                           \
                for (int64_t d = 0; d < max_spikes; d++) {                  \
                    int32_t fired = 0;                                      \
                    for (int64_t i = 0; i < m; i++) fired += c[i] > d;      \
                    if (!fired) break;                                      \
                    _Pragma("omp atomic") levels[d] += fired;               \
                }                                                           \
                if (reach)                                                  \
                    total += reached_##NAME(c, a, a + m, reach, inner,      \
                                            positions);                     \
            }                                                               \
            if (bad) {                                                      \
                _Pragma("omp atomic") *found += 1;                          \
            }                                                               \
            if (reach) {                                                    \
                _Pragma("omp atomic") *reached += total;                    \
            })                                                              \
    }

DEFINE_COUNT(f32, float, float, floorf, IDENTITY, IDENTITY)
DEFINE_COUNT(f64, double, double, floor, IDENTITY, IDENTITY)
DEFINE_COUNT(bf16, uint16_t, float, floorf, bf16_load, bf16_store)

/* Sums of y (planes, n) over its planes, per position; exact while they stay
 * below 2^24 units. */
#define DEFINE_SUMS(NAME, T, REAL, LOAD)                                    \
    void sfa_sums_##NAME(const T *y, int64_t planes, int64_t n, REAL *out,  \
                         int threads) {                                     \
        memset(out, 0, n * sizeof(REAL));                                   \
        _Pragma("omp parallel num_threads(threads) if (planes * n > GRAIN && threads > 1)") \
        {                                                                   \
            int64_t begin = 0, end = n;                                     \
            SLICE                                                           \
            for (int64_t a = begin; a < end; a += 2048) {                   \
                int64_t b = a + 2048 < end ? a + 2048 : end;                \
                for (int64_t p = 0; p < planes; p++)                        \
                    for (int64_t i = a; i < b; i++)                         \
                        out[i] += LOAD(y[p * n + i]);                       \
            }                                                               \
        }                                                                   \
    }

/* Sums of y (samples, n, channels) over samples and channels. */
#define DEFINE_LAST_SUMS(NAME, T, REAL, LOAD)                               \
    void sfa_last_sums_##NAME(const T *y, int64_t samples, int64_t n,       \
                              int64_t channels, REAL *out, int threads) {   \
        _Pragma("omp parallel num_threads(threads) if (n * channels > GRAIN && threads > 1)") \
        {                                                                   \
            int64_t begin = 0, end = n;                                     \
            SLICE                                                           \
            for (int64_t i = begin; i < end; i++) {                         \
                REAL total = 0;                                             \
                for (int64_t s = 0; s < samples; s++) {                     \
                    const T *row = y + (s * n + i) * channels;              \
                    _Pragma("omp simd reduction(+:total)")                  \
                    for (int64_t c = 0; c < channels; c++)                  \
                        total += LOAD(row[c]);                              \
                }                                                           \
                out[i] = total;                                             \
            }                                                               \
        }                                                                   \
    }

DEFINE_LAST_SUMS(f32, float, float, IDENTITY)
DEFINE_LAST_SUMS(f64, double, double, IDENTITY)
DEFINE_LAST_SUMS(bf16, uint16_t, float, bf16_load)

DEFINE_SUMS(f32, float, float, IDENTITY)
DEFINE_SUMS(f64, double, double, IDENTITY)
DEFINE_SUMS(bf16, uint16_t, float, bf16_load)

DEFINE(f32, float, float, floorf, IDENTITY, IDENTITY)
DEFINE(f64, double, double, floor, IDENTITY, IDENTITY)
DEFINE(bf16, uint16_t, float, floorf, bf16_load, bf16_store)
