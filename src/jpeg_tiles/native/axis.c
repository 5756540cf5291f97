#include "axis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double REACH[FILTERS] = {[TRIANGLE] = 1, [BOX] = 0.5, [CUBIC] = 2, [NEAREST] = 0.5, [COPY] = 0.5};

static double response(filter_t filter, double x)
{
    if (filter == BOX) return x > -0.5 && x <= 0.5;
    x = fabs(x);
    if (filter == TRIANGLE) return x < 1 ? 1 - x : 0;
    const double a = -0.5; /* Pillow's cubic */
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static int make_room(axis_t *axis, int outputs, size_t taps)
{
    if (outputs > axis->most_outputs) {
        free_axis(axis);
        axis->first = malloc(sizeof *axis->first * (size_t)outputs);
        axis->taps = malloc(sizeof *axis->taps * (size_t)outputs);
        axis->weights = malloc(sizeof *axis->weights * (size_t)outputs);
        if (!axis->first || !axis->taps || !axis->weights) {
            free_axis(axis);
            return 0;
        }
        axis->most_outputs = outputs;
    }
    size_t weights = (size_t)outputs * taps;
    if (weights > axis->most_weights) {
        free(axis->memory);
        axis->memory = malloc(sizeof *axis->memory * weights);
        axis->most_weights = axis->memory ? weights : 0;
        if (!axis->memory) return 0;
    }
    axis->outputs = outputs;
    for (int k = 0; k < outputs; k++) axis->weights[k] = axis->memory + (size_t)k * taps;
    return 1;
}

static void bound(axis_t *axis)
{
    axis->low = INT32_MAX, axis->high = 0;
    for (int k = 0; k < axis->outputs; k++) {
        if (!axis->taps[k]) continue;
        if (axis->first[k] < axis->low) axis->low = axis->first[k];
        if (axis->first[k] + axis->taps[k] > axis->high) axis->high = axis->first[k] + axis->taps[k];
    }
}

static void filtered(axis_t *axis, int k, int pixels, double center, double scale, filter_t filter)
{
    double reach = REACH[filter] * scale;
    int first = (int)(center - reach + 0.5), end = (int)(center + reach + 0.5);
    first = first < 0 ? 0 : first, end = end > pixels ? pixels : end;
    double sum = 0, weight[end - first > 0 ? end - first : 1];
    for (int x = first; x < end; x++) sum += weight[x - first] = response(filter, (x - center + 0.5) / scale);
    axis->first[k] = first, axis->taps[k] = end - first;
    for (int x = 0; x < end - first; x++) axis->weights[k][x] = (float)(weight[x] / sum);
}

code_t plan_axis(axis_t *axis, int pixels, double from, double length, int outputs, filter_t filter, int mirrored)
{
    int whole = filter == COPY || filter == NEAREST;
    if (filter == COPY && !(from >= -LONGEST_SIDE && from <= LONGEST_SIDE)) return BAD_BOX;
    /* Pillow takes its box in single precision. */
    float low = from > 0 ? (float)from : 0, high = from + length < pixels ? (float)(from + length) : (float)pixels;
    if (filter != COPY && !(high > low)) return BAD_BOX;
    double step = filter == NEAREST ? (high - low) / (float)outputs : (double)(high - low) / outputs;
    double scale = step > 1 ? step : 1, position = low + step * 0.5;
    if (!make_room(axis, outputs, whole ? 1 : 2 * (size_t)ceil(REACH[filter] * scale) + 1)) return NO_MEMORY;
    for (int x = 0; x < outputs; x++, position += step) {
        int k = mirrored ? outputs - 1 - x : x;
        if (!whole) {
            filtered(axis, k, pixels, low + (x + 0.5) * step, scale, filter);
            continue;
        }
        int pixel = filter == COPY ? (int)from + x : (int)position < pixels ? (int)position : pixels - 1;
        axis->first[k] = pixel, axis->taps[k] = pixel >= 0 && pixel < pixels, axis->weights[k][0] = 1;
    }
    bound(axis);
    return axis->high ? OK : BAD_BOX;
}

code_t plan_subsampled(axis_t *axis, const axis_t *full, int pixels, int factor, int fancy)
{
    int most = 0;
    for (int k = 0; k < full->outputs; k++) most = full->taps[k] > most ? full->taps[k] : most;
    if (!make_room(axis, full->outputs, (size_t)(most / factor + 4))) return NO_MEMORY;
    for (int k = 0; k < full->outputs; k++) {
        int taps = full->taps[k], begin = full->first[k];
        axis->taps[k] = 0;
        if (!taps) continue;
        /* One more on either side for the interpolation, folded onto the edge where there is none. */
        int first = begin / factor - fancy, last = (begin + taps - 1) / factor + fancy;
        first = first < 0 ? 0 : first, last = last >= pixels ? pixels - 1 : last;
        float *weights = axis->weights[k];
        memset(weights, 0, sizeof *weights * (size_t)(last - first + 1));
        for (int tap = 0; tap < taps; tap++) {
            int at = (begin + tap) / factor, other = at;
            float share = 0;
            if (fancy) {
                float place = ((float)((begin + tap) % factor) + 0.5f) / (float)factor - 0.5f;
                other = at + (place < 0 ? -1 : 1), share = fabsf(place);
                other = other < first ? first : other > last ? last : other;
            }
            weights[at - first] += (1 - share) * full->weights[k][tap];
            weights[other - first] += share * full->weights[k][tap];
        }
        axis->first[k] = first, axis->taps[k] = last - first + 1;
    }
    bound(axis);
    return OK;
}

void free_axis(axis_t *axis)
{
    free(axis->first), free(axis->taps), free(axis->weights), free(axis->memory);
    memset(axis, 0, sizeof *axis);
}
