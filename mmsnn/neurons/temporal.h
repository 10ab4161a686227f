/* The kernels of temporal.c for one type. T: in tensors, REAL: computed in. */

#define INLINE static inline __attribute__((always_inline))
#define COUNT(v)                                                            \
    REAL u = (v) / threshold;                                               \
    QUANTISE(REAL, FLOOR, u, distance)                                      \
    const REAL c = f + (REAL)1;
#define CONSTANTS                                                           \
    const REAL threshold = (REAL)p->threshold, scale = (REAL)p->scale;      \
    const REAL distance = (REAL)p->distance;                                \
    const REAL top = (REAL)p->max_spikes - 1;                               \
    const REAL low = distance - (REAL)0.5;                                  \
    const REAL high = (REAL)p->max_spikes + low;                            \
    const REAL decay = (REAL)p->decay, gain = (REAL)p->gain;                \
    const REAL slope = (REAL)p->slope, half_slope = (REAL)(p->slope / 2);   \
    const REAL angle = (REAL)(1.5707963267948966 * p->slope);               \
    (void)threshold, (void)top, (void)scale, (void)low, (void)high;         \
    (void)decay, (void)gain, (void)slope, (void)half_slope, (void)angle;

INLINE void NAME(start)(const REAL *from, int64_t j, REAL *h, int64_t n) {
    if (from)
        memcpy(h, from + j, n * sizeof(REAL));
    else
        memset(h, 0, n * sizeof(REAL));
}

/* h: from the state before a time step to the potential that it makes. */
INLINE void NAME(charge)(const Neuron *p, const T *x, REAL *h, int64_t n) {
    CONSTANTS
    if (p->decay_input)
        SIMD for (int64_t k = 0; k < n; k++)
            h[k] += (LOAD(x[k]) - h[k]) * gain;
    else
        SIMD for (int64_t k = 0; k < n; k++) h[k] = h[k] * decay + LOAD(x[k]);
}

/* h: from the potential to what the reset leaves of it. */
INLINE void NAME(fire)(const Neuron *p, REAL *h, T *y, uint8_t *kept,
                       int64_t n, const int hard, const int keep) {
    CONSTANTS
    SIMD for (int64_t k = 0; k < n; k++) {
        COUNT(h[k])
        y[k] = STORE(c * scale);
        if (keep)
            kept[k] = ((u >= low) & (u <= high)) * WINDOW +
                      (c > 0) * FIRED + (c != c) * NO_NUMBER;
        if (hard)
            h[k] *= (REAL)1 - (c > 1 ? (REAL)1 : c);
        else
            h[k] -= c * threshold;
    }
}

/* kept (a byte per element) may be NULL. */
void NAME(forward)(const Neuron *p, const T *x, const REAL *state, T *y,
                   REAL *left, uint8_t *kept) {
    const int64_t size = p->size, steps = p->timesteps;
    const int64_t n = p->samples * size;
    const int threads = p->threads;
    PARALLEL_FOR(for (int64_t j = begin; j < end;) {
        int64_t m = size - j % size;
        m = m > end - j ? end - j : m;
        m = m > BLOCK ? BLOCK : m;
        int64_t at = j / size * size * steps + j % size;
        REAL h[BLOCK];
        NAME(start)(state, j, h, m);
        for (int64_t t = 0; t < steps; t++, at += size) {
            NAME(charge)(p, x + at, h, m);
            uint8_t *to = kept + at;
            if (kept && p->hard)
                NAME(fire)(p, h, y + at, to, m, 1, 1);
            else if (kept)
                NAME(fire)(p, h, y + at, to, m, 0, 1);
            else if (p->hard)
                NAME(fire)(p, h, y + at, NULL, m, 1, 0);
            else
                NAME(fire)(p, h, y + at, NULL, m, 0, 0);
        }
        memcpy(left + j, h, m * sizeof(REAL));
        j += m;
    })
}

/* Gradient w of a time step's potentials, from those of its output and of the
 * state g that it has left, and the byte kept for each element. */
INLINE void NAME(back_window)(const Neuron *p, const T *grad,
                              const uint8_t *kept, const REAL *g, REAL *w,
                              int64_t n) {
    CONSTANTS
    const int hard = p->hard, detach = p->detach;
    SIMD for (int64_t k = 0; k < n; k++) {
        REAL count = LOAD(grad[k]) * scale;
        if (!detach) count -= g[k] * threshold;
        count = (kept[k] & WINDOW ? count : (REAL)0) / threshold;
        REAL open = kept[k] & FIRED ? (REAL)0 : (REAL)1;
        open = kept[k] & NO_NUMBER ? (REAL)NAN : open;
        w[k] = count + (hard ? g[k] * open : g[k]);
    }
}

/* d: derivative of the spikes by the potentials v over the threshold. */
INLINE void NAME(slope)(const Neuron *p, const REAL *v, REAL *d, int64_t n) {
    CONSTANTS
    if (p->surrogate == SIGMOID)
        SIMD for (int64_t k = 0; k < n; k++) {
            REAL z = (v[k] / threshold - distance) * slope;
            REAL e = EXP(z < 0 ? -z : z);
            d[k] = e * slope / ((e + 1) * (e + 1));
        }
    else if (p->surrogate == ARCTAN)
        SIMD for (int64_t k = 0; k < n; k++) {
            REAL z = (v[k] / threshold - distance) * angle;
            d[k] = (REAL)1 / (z * z + 1) * half_slope;
        }
    else
        SIMD for (int64_t k = 0; k < n; k++) {
            REAL u = v[k] / threshold;
            d[k] = (u >= low) & (u <= high) ? 1 : 0;
        }
}

/* The same as back_window from the potentials; w: their derivative above. */
INLINE void NAME(back_slope)(const Neuron *p, const T *grad, const REAL *v,
                             const REAL *g, REAL *w, int64_t n) {
    CONSTANTS
    const int hard = p->hard, detach = p->detach;
    const int window = p->surrogate == RECTANGLE;
    SIMD for (int64_t k = 0; k < n; k++) {
        COUNT(v[k])
        REAL count = LOAD(grad[k]) * scale;
        REAL reset = hard ? (c <= 1 ? v[k] : (REAL)0) : threshold;
        count -= detach ? (REAL)0 : g[k] * reset;
        REAL open = (REAL)1 - (c > 1 ? (REAL)1 : c);
        REAL fired = window && w[k] == 0 ? (REAL)0 : count * w[k];
        w[k] = fired / threshold + g[k] * (hard ? open : (REAL)1);
    }
}

/* From the potentials' gradient w to those of the input and of the state
 * before, g. */
INLINE void NAME(back_charge)(const Neuron *p, const REAL *w, T *out, REAL *g,
                              int64_t n) {
    CONSTANTS
    if (p->decay_input)
        SIMD for (int64_t k = 0; k < n; k++) {
            REAL input = w[k] * gain;
            out[k] = STORE(input);
            g[k] = w[k] - input;
        }
    else
        SIMD for (int64_t k = 0; k < n; k++) {
            out[k] = STORE(w[k]);
            g[k] = w[k] * decay;
        }
}

/* Adds the gradient of the decay; h: the states before the time step. */
INLINE void NAME(back_decay)(const Neuron *p, const REAL *w, const T *x,
                             const REAL *h, REAL *total, int64_t n) {
    CONSTANTS
    if (p->decay_input)
        SIMD for (int64_t k = 0; k < n; k++)
            total[k] += w[k] * (h[k] - LOAD(x[k]));
    else
        SIMD for (int64_t k = 0; k < n; k++) total[k] += w[k] * h[k];
}

/* The state that a time step with the potentials v has left. */
INLINE void NAME(discharge)(const Neuron *p, const REAL *v, REAL *h,
                            int64_t n) {
    CONSTANTS
    const int hard = p->hard;
    SIMD for (int64_t k = 0; k < n; k++) {
        COUNT(v[k])
        REAL open = (REAL)1 - (c > 1 ? (REAL)1 : c);
        h[k] = hard ? v[k] * open : v[k] - c * threshold;
    }
}

/* v: the potentials of all time steps, BLOCK apart, as in forward. */
INLINE void NAME(recompute)(const Neuron *p, const T *x, const REAL *state,
                            int64_t j, REAL *v, int64_t n) {
    REAL h[BLOCK];
    NAME(start)(state, j, h, n);
    for (int64_t t = 0; t < p->timesteps; t++, x += p->size, v += BLOCK) {
        NAME(charge)(p, x, h, n);
        memcpy(v, h, n * sizeof(REAL));
        NAME(discharge)(p, v, h, n);
    }
}

/* Needs kept, or x to compute the potentials from once more. Pointers that
 * may be NULL: left (gradient of the last state), state, first (gradient of
 * the first state), total (gradient of the decay, per neuron). potentials:
 * room for timesteps * BLOCK for each thread, where kept is NULL. */
void NAME(backward)(const Neuron *p, const T *grad, const REAL *left,
                    const REAL *state, const uint8_t *kept, const T *x,
                    REAL *potentials, T *out, REAL *first, REAL *total) {
    const int64_t size = p->size, steps = p->timesteps;
    const int64_t n = p->samples * size;
    const int threads = p->threads;
    /* Nobody reads what the last time step has left: as if nothing reset it,
     * since 0 times infinity is no number. */
    Neuron unread = *p;
    unread.hard = 0, unread.detach = 1;
    PARALLEL_FOR(for (int64_t j = begin; j < end;) {
        int64_t m = size - j % size;
        m = m > end - j ? end - j : m;
        m = m > BLOCK ? BLOCK : m;
        int64_t at = j / size * steps * size + j % size;
        REAL g[BLOCK];
        REAL w[BLOCK];
        REAL h[BLOCK];
        REAL *v = potentials + THREAD * steps * BLOCK;
        if (!kept) NAME(recompute)(p, x + at, state, j, v, m);
        NAME(start)(left, j, g, m);
        if (total) NAME(start)(NULL, j, total + j, m);
        at += (steps - 1) * size;
        v += (steps - 1) * BLOCK;
        for (int64_t t = steps - 1; t >= 0; t--, at -= size, v -= BLOCK) {
            const Neuron *q = left || t < steps - 1 ? p : &unread;
            if (kept) {
                NAME(back_window)(q, grad + at, kept + at, g, w, m);
            } else {
                NAME(slope)(p, v, w, m);
                NAME(back_slope)(q, grad + at, v, g, w, m);
            }
            NAME(back_charge)(p, w, out + at, g, m);
            if (!total) continue;
            if (t)
                NAME(discharge)(p, v - BLOCK, h, m);
            else
                NAME(start)(state, j, h, m);
            NAME(back_decay)(p, w, x + at, h, total + j, m);
        }
        if (first) memcpy(first + j, g, m * sizeof(REAL));
        j += m;
    })
}

#undef INLINE
#undef COUNT
#undef CONSTANTS
