/* What the CPU kernels share: bfloat16, and slices of work for threads. */
#ifndef MMSNN_KERNELS_H
#define MMSNN_KERNELS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#define GRAIN 65536

static inline float bf16_load(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static inline uint16_t bf16_store(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (f != f) return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

#define IDENTITY(x) (x)

/* Run BODY for i in [begin, end), an equal slice of [0, n) per thread. */
#define PARALLEL_FOR(BODY)                                                  \
    _Pragma("omp parallel num_threads(threads) if (n > GRAIN && threads > 1)") \
    {                                                                       \
        int64_t begin = 0, end = n;                                         \
        SLICE                                                               \
        BODY                                                                \
    }

#ifdef _OPENMP
#define SLICE                                                               \
    {                                                                       \
        int64_t parts = omp_get_num_threads(), part = omp_get_thread_num(); \
        int64_t size = ((n + parts - 1) / parts + 63) / 64 * 64;            \
        begin = part * size < n ? part * size : n;                          \
        end = begin + size < n ? begin + size : n;                          \
    }
#else
#define SLICE
#endif

/* f: the spike count of x less 1; distance: 1 less the offset; top: D less 1.
 * See quantizer.py. */
#define QUANTISE(REAL, FLOOR, x, distance)                                  \
    REAL f = FLOOR((x) - (REAL)(distance));                                 \
    f = f < (REAL)-1 ? (REAL)-1 : f;                                        \
    f = f > top ? top : f;

#endif
