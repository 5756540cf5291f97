/* Separable resampling of planes, eight rows of output at a time. */
#ifndef JPEG_TILES_RESAMPLE_H
#define JPEG_TILES_RESAMPLE_H

#include "axis.h"

enum { STRIP = 8 };

/* Pixel (x, y) of the plane is at[y * stride + x]; the axes' taps count from `left` and `top`. */
typedef struct {
    const uint8_t *at;
    size_t stride;
    int left, top;
} plane_t;

/* Floats that resample_strip needs: the rows before they are resampled across, and those turned. */
size_t strip_scratch(const axis_t *across);

/* Output rows y .. y + STRIP - 1 of `plane`, turned: strip[x][row]; rows beyond the last are 0. */
void resample_strip(const plane_t *plane, const axis_t *across, const axis_t *down, int y, float *scratch,
                    float (*strip)[STRIP]);

/* Turned strips of Y, Cb and Cr become red, green and blue in place (JFIF). */
void to_rgb(float (*y)[STRIP], float (*cb)[STRIP], float (*cr)[STRIP], int width);

/* One turned strip, rounded, to `rows` rows of uint8. */
void store_strip(const float (*strip)[STRIP], int width, int rows, uint8_t *out, size_t stride);

#endif
