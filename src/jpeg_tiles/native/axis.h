/* Which source pixels, with which weights, make each pixel of a row or column of the output. */
#ifndef JPEG_TILES_AXIS_H
#define JPEG_TILES_AXIS_H

#include "jpeg.h"

typedef enum { TRIANGLE, BOX, CUBIC, NEAREST, COPY, FILTERS } filter_t;

/* `taps[k]` pixels from `first[k]` on make output `k`; none where it lies beyond the image. */
typedef struct {
    int outputs, low, high; /* all taps lie in [low, high) */
    int *first, *taps;
    float **weights;
    int most_outputs;
    float *memory;
    size_t most_weights;
} axis_t;

/* As Pillow resizes [from, from + length) of `pixels` pixels to `outputs`, clipped to the image; COPY
   takes whole pixels from `from` on. A mirrored axis runs backward. */
code_t plan_axis(axis_t *axis, int pixels, double from, double length, int outputs, filter_t filter, int mirrored);

/* The same, for a plane subsampled by `factor` that libjpeg would first bring to full size: by linear
   interpolation (fancy upsampling), or by repetition where `fancy` is 0. */
code_t plan_subsampled(axis_t *axis, const axis_t *full, int pixels, int factor, int fancy);

void free_axis(axis_t *axis);

#endif
