/* Fused CPU kernels of the SFA quantiser (see quantizer.py for the definition
 * that they must agree with, bit for bit).
 *
 * For every element u (a membrane potential over the threshold):
 *   count  c = clip(floor(u - 1/2), -1, D - 1) + 1
 *   output y = c * scale
 * NaN passes through the output.
 */
#include "kernels.h"

#define DEFINE(NAME, T, REAL, FLOOR, LOAD, STORE)                           \
    void sfa_forward_##NAME(const T *u, T *y, int64_t n, double max_spikes, \
                            double scale, int threads) {                    \
        const REAL top = (REAL)max_spikes - 1, one = 1, s = (REAL)scale;    \
        PARALLEL_FOR(for (int64_t i = begin; i < end; i++) {                \
            REAL x = LOAD(u[i]);                                            \
            QUANTISE(REAL, FLOOR, x, 0.5)                                   \
            y[i] = STORE((f + one) * s);                                    \
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

/* Fire and count in one pass: y = c * scale. counted[0] grows if an input is
 * NaN or infinite, counted[1] by the spikes times reach (whole numbers) at
 * their position if that is given, counted[1 + d] by #(c >= d). Element i is at
 * position (i / inner) % positions: inner is 1, or the channels where they
 * lie last. y may be u. Counts are bytes, so that many are looked at at
 * once: max_spikes is 255 at most. */
#define LANES 64
#define BLOCK (64 * LANES)

/* levels[d - 1] += #(c >= d); c is filled up with zeros to whole lanes. */
static void add_levels(const uint8_t *c, int64_t n, int64_t max_spikes,
                       int64_t *levels) {
    for (int64_t d = 0; d < max_spikes; d++) {
        uint8_t found[LANES] = {0}, edge = (uint8_t)d; /* 64 at most */
        int32_t fired = 0;
        for (int64_t a = 0; a < n; a += LANES)
            for (int64_t i = 0; i < LANES; i++) found[i] += c[a + i] > edge;
        for (int64_t i = 0; i < LANES; i++) fired += found[i];
        if (!fired) break;
        levels[d] += fired;
    }
}

/* The sum of c times reach, for n elements from number i on. */
static double add_reach(const uint8_t *c, int64_t i, int64_t n,
                        const double *reach, int64_t inner,
                        int64_t positions) {
    int64_t p = i / inner % positions, in = i % inner;
    double total = 0;
    while (n > 0) {
        int64_t m = inner == 1 ? positions - p : inner - in;
        m = m < n ? m : n;
        if (inner == 1) {
            _Pragma("omp simd reduction(+:total)")
            for (int64_t k = 0; k < m; k++) total += c[k] * reach[p + k];
            p = 0;
        } else { /* all positions of the same reach at once */
            int32_t sum = 0;
            while (m < n && p + 1 < positions && reach[p + 1] == reach[p])
                m += inner, p++;
            m = m < n ? m : n;
            _Pragma("omp simd reduction(+:sum)")
            for (int64_t k = 0; k < m; k++) sum += c[k];
            total += sum * reach[p];
            p = p + 1 < positions ? p + 1 : 0;
            in = 0;
        }
        n -= m, c += m;
    }
    return total;
}

#define DEFINE_COUNT(NAME, T, REAL, FLOOR, LOAD, STORE)                     \
    void sfa_count_##NAME(const T *u, T *y, int64_t n, int64_t max_spikes,  \
                          double scale, const double *reach,                \
                          int64_t inner, int64_t positions,                 \
                          int64_t *counted, int threads) {                  \
        const REAL top = (REAL)max_spikes - 1, one = 1, s = (REAL)scale;    \
        PARALLEL_FOR(                                                       \
            uint8_t c[BLOCK];                                               \
            int64_t fired[256] = {0};                                       \
            double total = 0;                                               \
            int32_t bad = 0;                                                \
            for (int64_t a = begin; a < end; a += BLOCK) {                  \
                int64_t m = end - a < BLOCK ? end - a : BLOCK;              \
                for (int64_t i = 0; i < m; i++) {                           \
                    REAL x = LOAD(u[a + i]);                                \
                    QUANTISE(REAL, FLOOR, x, 0.5)                           \
                    f += one;                                               \
                    bad |= (x - x) != 0;                                    \
                    c[i] = (uint8_t)(int32_t)f;                             \
                    y[a + i] = STORE(f * s);                                \
                }                                                           \
                memset(c + m, 0, (BLOCK - m) % LANES);                      \
                add_levels(c, m, max_spikes, fired);                        \
                if (reach)                                                  \
                    total += add_reach(c, a, m, reach, inner, positions);   \
            }                                                               \
            for (int64_t d = 0; d < max_spikes; d++) {                      \
                if (!fired[d]) break;                                       \
                _Pragma("omp atomic") counted[2 + d] += fired[d];           \
            }                                                               \
            if (bad) {                                                      \
                _Pragma("omp atomic") counted[0] += 1;                      \
            }                                                               \
            if (reach) {                                                    \
                _Pragma("omp atomic") counted[1] += (int64_t)total;         \
            })                                                              \
    }

DEFINE_COUNT(f32, float, float, floorf, IDENTITY, IDENTITY)
DEFINE_COUNT(f64, double, double, floor, IDENTITY, IDENTITY)
DEFINE_COUNT(bf16, uint16_t, float, floorf, bf16_load, bf16_store)

/* An IF neuron with soft reset, sub-step by sub-step: where the potential u
 * has come to distance, it fires 1 into train[d], and 1 is subtracted. */
#define DEFINE_TRAIN(NAME, T, REAL, LOAD, STORE)                            \
    void sfa_train_##NAME(const T *u, T *const *train, int64_t n,           \
                          int64_t max_spikes, double distance,              \
                          int threads) {                                    \
        PARALLEL_FOR(                                                       \
            REAL left[BLOCK];                                               \
            for (int64_t a = begin; a < end; a += BLOCK) {                  \
                int64_t m = end - a < BLOCK ? end - a : BLOCK;              \
                for (int64_t i = 0; i < m; i++)                             \
                    left[i] = LOAD(u[a + i]) - (REAL)distance;              \
                for (int64_t d = 0; d < max_spikes; d++) {                  \
                    T *spikes = train[d] + a;                               \
                    for (int64_t i = 0; i < m; i++) {                       \
                        REAL fires = left[i] >= 0;                          \
                        left[i] -= fires;                                   \
                        spikes[i] = STORE(fires);                           \
                    }                                                       \
                }                                                           \
            })                                                              \
    }

DEFINE_TRAIN(f32, float, float, IDENTITY, IDENTITY)
DEFINE_TRAIN(f64, double, double, IDENTITY, IDENTITY)
DEFINE_TRAIN(bf16, uint16_t, float, bf16_load, bf16_store)

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

/* The sums of m rows of n elements each, laid out by two steps. */
#define DEFINE_ROWS(NAME, T, REAL, VALUE)                                   \
    static void rows_##NAME(const T *x, int64_t m, int64_t n,               \
                            int64_t of_row, int64_t of_element,             \
                            double *out) {                                  \
        if (of_element == 1) {                                              \
            for (int64_t r = 0; r < m; r++, x += of_row) {                  \
                double total = 0;                                           \
                for (int64_t a = 0; a < n; a += BLOCK) {                    \
                    int64_t b = a + BLOCK < n ? a + BLOCK : n;              \
                    REAL sum = 0;                                           \
                    _Pragma("omp simd reduction(+:sum)")                    \
                    for (int64_t k = a; k < b; k++) sum += VALUE(x[k]);     \
                    total += sum;                                           \
                }                                                           \
                out[r] = total;                                             \
            }                                                               \
            return;                                                         \
        }                                                                   \
        memset(out, 0, m * sizeof(double));                                 \
        for (int64_t k = 0; k < n; k++, x += of_element)                    \
            if (of_row == 1)                                                \
                for (int64_t r = 0; r < m; r++) out[r] += VALUE(x[r]);      \
            else                                                            \
                for (int64_t r = 0; r < m; r++)                             \
                    out[r] += VALUE(x[r * of_row]);                         \
    }

/* Of the product of spike counts x (.., n, m) and y (.., m, p), each with two
 * axes in front, sizes and steps: the spikes of x, and how often they meet an
 * element of y that is not zero. */
#define DEFINE_MEETINGS(NAME, T, REAL, LOAD)                                \
    static inline REAL fires_##NAME(T x) { return LOAD(x) != 0; }           \
    DEFINE_ROWS(spikes_##NAME, T, REAL, LOAD)                               \
    DEFINE_ROWS(firing_##NAME, T, REAL, fires_##NAME)                       \
    void sfa_meetings_##NAME(const T *x, const int64_t *size,               \
                             const int64_t *step, const T *y,               \
                             const int64_t *y_size, const int64_t *y_step,  \
                             double *out, int threads) {                    \
        const int64_t m = size[3], products = size[0] * size[1];            \
        const int64_t n = products * m * (size[2] + y_size[3]);             \
        double spikes = 0, meetings = 0;                                    \
        _Pragma("omp parallel for reduction(+:spikes, meetings) num_threads(threads) if (n > GRAIN && threads > 1)") \
        for (int64_t i = 0; i < products; i++) {                            \
            const T *left = x + i / size[1] * step[0]                       \
                              + i % size[1] * step[1];                      \
            const T *right = y + i / y_size[1] * y_step[0]                  \
                               + i % y_size[1] * y_step[1];                 \
            double selecting[ROWS], selected[ROWS];                         \
            for (int64_t a = 0; a < m; a += ROWS) {                         \
                int64_t rows = m - a < ROWS ? m - a : ROWS;                 \
                rows_spikes_##NAME(left + a * step[3], rows, size[2],       \
                                   step[3], step[2], selecting);            \
                rows_firing_##NAME(right + a * y_step[2], rows, y_size[3],  \
                                   y_step[2], y_step[3], selected);         \
                for (int64_t r = 0; r < rows; r++) {                        \
                    spikes += selecting[r];                                 \
                    meetings += selecting[r] * selected[r];                 \
                }                                                           \
            }                                                               \
        }                                                                   \
        out[0] = spikes, out[1] = meetings;                                 \
    }

#define ROWS 512
DEFINE_MEETINGS(f32, float, float, IDENTITY)
DEFINE_MEETINGS(f64, double, double, IDENTITY)
DEFINE_MEETINGS(bf16, uint16_t, float, bf16_load)

DEFINE_LAST_SUMS(f32, float, float, IDENTITY)
DEFINE_LAST_SUMS(f64, double, double, IDENTITY)
DEFINE_LAST_SUMS(bf16, uint16_t, float, bf16_load)

DEFINE_SUMS(f32, float, float, IDENTITY)
DEFINE_SUMS(f64, double, double, IDENTITY)
DEFINE_SUMS(bf16, uint16_t, float, bf16_load)

DEFINE(f32, float, float, floorf, IDENTITY, IDENTITY)
DEFINE(f64, double, double, floor, IDENTITY, IDENTITY)
DEFINE(bf16, uint16_t, float, floorf, bf16_load, bf16_store)
