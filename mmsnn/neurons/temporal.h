/* The kernels of temporal.c for one type. T: in tensors, REAL: computed in. */

#define INLINE static inline __attribute__((always_inline))
#define COUNT(v)                                                            \
    REAL u = (v) / threshold;                                               \
    REAL c = FLOOR(u - distance);                                           \
    c = c < (REAL)-1 ? (REAL)-1 : c;                                        \
    c = (c > top ? top : c) + (REAL)1;
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

/* h: from the state before a time step to the potential that it makes. */
INLINE void NAME(charge)(const Neuron *p, const T *x, REAL *h, int64_t n) {
    CONSTANTS
    if (p->decay_input)
        for (int64_t k = 0; k < n; k++) h[k] += (LOAD(x[k]) - h[k]) * gain;
    else
        for (int64_t k = 0; k < n; k++) h[k] = h[k] * decay + LOAD(x[k]);
}

/* h: from the potential to what the reset leaves of it. */
INLINE void NAME(fire)(const Neuron *p, REAL *h, T *y, uint8_t *kept,
                       int64_t n, const int hard, const int keep) {
    CONSTANTS
    for (int64_t k = 0; k < n; k++) {
        COUNT(h[k])
        y[k] = STORE(c * scale);
        if (keep)
            kept[k] = ((u >= low) & (u <= high)) * WINDOW + (c > 0) * FIRED;
        if (hard)
            h[k] *= (REAL)1 - (c > 1 ? (REAL)1 : c);
        else
            h[k] -= c * threshold;
    }
}

/* Either of kept (a byte per element) and potential may be NULL. */
void NAME(forward)(const Neuron *p, const T *x, const REAL *state, T *y,
                   REAL *left, uint8_t *kept, REAL *potential) {
    const int64_t size = p->size, steps = p->timesteps;
    const int64_t n = p->samples * size;
    const int threads = p->threads;
    PARALLEL_FOR(for (int64_t j = begin; j < end;) {
        int64_t m = size - j % size;
        m = m > end - j ? end - j : m;
        m = m > BLOCK ? BLOCK : m;
        int64_t at = j / size * size * steps + j % size;
        REAL h[BLOCK];
        for (int64_t k = 0; k < m; k++) h[k] = state ? state[j + k] : 0;
        for (int64_t t = 0; t < steps; t++, at += size) {
            NAME(charge)(p, x + at, h, m);
            if (potential) memcpy(potential + at, h, m * sizeof(REAL));
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

/* g: from the gradient of the state after a time step to that of the state
 * before; from the byte kept for each element. */
INLINE void NAME(back)(const Neuron *p, const T *grad, const uint8_t *kept,
                       T *out, REAL *g, int64_t n) {
    CONSTANTS
    const int hard = p->hard, detach = p->detach;
    const int decay_input = p->decay_input;
    for (int64_t k = 0; k < n; k++) {
        REAL count = LOAD(grad[k]) * scale;
        if (!detach) count -= g[k] * threshold;
        REAL v = (kept[k] & WINDOW ? count : (REAL)0) / threshold;
        v += hard && kept[k] & FIRED ? (REAL)0 : g[k];
        REAL input = decay_input ? v * gain : v;
        out[k] = STORE(input);
        g[k] = decay_input ? v - input : v * decay;
    }
}

/* The same from the potentials v of this time step; total (or NULL) gathers
 * the gradient of the decay, which needs the state before. */
INLINE void NAME(back_from)(const Neuron *p, const T *grad, const REAL *v,
                            const REAL *before, T *out, REAL *g, REAL *total,
                            int64_t n, const int surrogate) {
    CONSTANTS
    const int hard = p->hard, detach = p->detach;
    const int decay_input = p->decay_input;
    for (int64_t k = 0; k < n; k++) {
        COUNT(v[k])
        REAL count = LOAD(grad[k]) * scale;
        REAL fired = c > 1 ? (REAL)1 : c;
        REAL soft = g[k] * threshold, through = c <= 1 ? g[k] * v[k] : 0;
        count -= detach ? (REAL)0 : hard ? through : soft;
        if (surrogate == RECTANGLE) {
            count = (u >= low) & (u <= high) ? count : (REAL)0;
        } else if (surrogate == SIGMOID) {
            REAL z = (u - distance) * slope;
            REAL e = EXP(z < 0 ? -z : z);
            count *= e * slope / ((e + 1) * (e + 1));
        } else {
            REAL z = (u - distance) * angle;
            count *= (REAL)1 / (z * z + 1) * half_slope;
        }
        REAL w = count / threshold + (hard ? g[k] * (1 - fired) : g[k]);
        REAL input = decay_input ? w * gain : w;
        out[k] = STORE(input);
        g[k] = decay_input ? w - input : w * decay;
        if (total) {
            REAL h = before[k];
            total[k] += w * (decay_input ? (h - v[k]) / gain : h);
        }
    }
}

/* The state that a time step with the potentials v has left. */
INLINE void NAME(discharge)(const Neuron *p, const REAL *v, REAL *h,
                            int64_t n) {
    CONSTANTS
    const int hard = p->hard;
    for (int64_t k = 0; k < n; k++) {
        COUNT(v[k])
        REAL open = (REAL)1 - (c > 1 ? (REAL)1 : c);
        h[k] = hard ? v[k] * open : v[k] - c * threshold;
    }
}

/* Needs kept or potential. Pointers that may be NULL: left (gradient of the
 * last state), state, first (gradient of the first state), total (gradient of
 * the decay, per neuron). */
void NAME(backward)(const Neuron *p, const T *grad, const REAL *left,
                    const REAL *state, const uint8_t *kept,
                    const REAL *potential, T *out, REAL *first,
                    REAL *total) {
    const int64_t size = p->size, steps = p->timesteps;
    const int64_t n = p->samples * size;
    const int threads = p->threads;
    PARALLEL_FOR(for (int64_t j = begin; j < end;) {
        int64_t m = size - j % size;
        m = m > end - j ? end - j : m;
        m = m > BLOCK ? BLOCK : m;
        int64_t at = (j / size * steps + steps - 1) * size + j % size;
        REAL g[BLOCK];
        REAL before[BLOCK];
        REAL *sum = total ? total + j : NULL;
        for (int64_t k = 0; k < m; k++) g[k] = left ? left[j + k] : 0;
        for (int64_t k = 0; sum && k < m; k++) sum[k] = 0;
        for (int64_t t = steps - 1; t >= 0; t--, at -= size) {
            const REAL *v = potential + at;
            if (kept) {
                NAME(back)(p, grad + at, kept + at, out + at, g, m);
                continue;
            }
            if (sum && t)
                NAME(discharge)(p, v - size, before, m);
            else if (sum)
                for (int64_t k = 0; k < m; k++)
                    before[k] = state ? state[j + k] : 0;
            if (p->surrogate == RECTANGLE)
                NAME(back_from)(p, grad + at, v, before, out + at, g, sum, m,
                                RECTANGLE);
            else if (p->surrogate == SIGMOID)
                NAME(back_from)(p, grad + at, v, before, out + at, g, sum, m,
                                SIGMOID);
            else
                NAME(back_from)(p, grad + at, v, before, out + at, g, sum, m,
                                ARCTAN);
        }
        if (first) memcpy(first + j, g, m * sizeof(REAL));
        j += m;
    })
}

#undef INLINE
#undef COUNT
#undef CONSTANTS
