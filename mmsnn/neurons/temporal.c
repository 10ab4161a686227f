/* Fused CPU kernels of the T x D neuron (see spiking.py for the definition
 * that they must agree with, bit for bit; only the sigmoid's exponential and
 * the sum in the gradient of a learnt decay round differently).
 *
 * Tensors over time are (samples, timesteps, size), states (samples, size). A
 * block of neurons goes through all its time steps while its membranes stay
 * in the cache. Half types are computed in float32.
 */
#include "kernels.h"

#define BLOCK 1024
#define SIMD _Pragma("omp simd")

/* Field by field as in temporal.py. */
typedef struct {
    double decay, gain, threshold, scale, slope, distance, max_spikes;
    int64_t samples, timesteps, size;
    int32_t decay_input, hard, detach, surrogate, threads;
} Neuron;

enum { RECTANGLE, SIGMOID, ARCTAN };
enum { WINDOW = 1, FIRED = 2, NO_NUMBER = 4 };

/* exp(-y) for y >= 0, within two units in the last place, 0 where that is
 * below 1e-37 (1e-307): 2^-k times the series of exp(r), |r| <= log(2) / 2. START: the terms from r^7,
 * divided by r^7; HIGH + LOW: log(2), HIGH with zeros at its end. */
#define DEFINE_EXP(NAME, REAL, INT, FLOOR, LARGEST, HIGH, LOW, BIAS, DIGITS, \
                   START)                                                   \
    static inline REAL NAME(REAL y) {                                       \
        const REAL none = y > (REAL)LARGEST;                                \
        y = none ? (REAL)LARGEST : y;                                       \
        REAL k = FLOOR(y * (REAL)1.4426950408889634 + (REAL)0.5);           \
        REAL r = (k * (REAL)HIGH - y) + k * (REAL)LOW;                      \
        REAL e = START;                                                     \
        e = e * r + (REAL)(1. / 720);                                       \
        e = e * r + (REAL)(1. / 120);                                       \
        e = e * r + (REAL)(1. / 24);                                        \
        e = e * r + (REAL)(1. / 6);                                         \
        e = e * r + (REAL)0.5;                                              \
        e = e * r + (REAL)1;                                                \
        e = e * r + (REAL)1;                                                \
        INT bits = (INT)(BIAS - (int32_t)k) << DIGITS;                      \
        REAL power;                                                         \
        memcpy(&power, &bits, sizeof(REAL));                                \
        return none ? (REAL)0 : e * power;                                  \
    }

static inline double higher_terms(double r) {
    double e = 1. / 6227020800;
    e = e * r + 1. / 479001600;
    e = e * r + 1. / 39916800;
    e = e * r + 1. / 3628800;
    e = e * r + 1. / 362880;
    e = e * r + 1. / 40320;
    return e * r + 1. / 5040;
}

DEFINE_EXP(exp_f32, float, int32_t, floorf, 87, 0.693145751953125,
           1.428606765330187e-06, 127, 23, 1.f / 5040)
DEFINE_EXP(exp_f64, double, int64_t, floor, 708, 6.93147180369123816490e-01,
           1.90821492927058770002e-10, 1023, 52, higher_terms(r))

#define NAME(function) sfa_time_##function##_f32
#define T float
#define REAL float
#define FLOOR floorf
#define EXP exp_f32
#define LOAD IDENTITY
#define STORE IDENTITY
#include "temporal.h"

#undef NAME
#undef T
#undef LOAD
#undef STORE
#define NAME(function) sfa_time_##function##_bf16
#define T uint16_t
#define LOAD bf16_load
#define STORE bf16_store
#include "temporal.h"

#undef NAME
#undef T
#undef REAL
#undef FLOOR
#undef EXP
#undef LOAD
#undef STORE
#define NAME(function) sfa_time_##function##_f64
#define T double
#define REAL double
#define FLOOR floor
#define EXP exp_f64
#define LOAD IDENTITY
#define STORE IDENTITY
#include "temporal.h"
