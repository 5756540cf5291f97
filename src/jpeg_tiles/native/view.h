/* One crop of one stored image, brought to its size. */
#ifndef JPEG_TILES_VIEW_H
#define JPEG_TILES_VIEW_H

#include "axis.h"
#include "splice.h"

/* What a thread keeps from image to image. */
typedef struct {
    void *decompressor;
    buffer_t part, plane[3], scratch;
    axis_t across, down, chroma_across, chroma_down;
} context_t;

/* A rectangle in source pixels, mirrored or not. */
typedef struct {
    double left, top, width, height;
    filter_t filter;
    int mirrored;
} box_t;

typedef struct {
    bytes_t bytes;
    int width, height, raw; /* raw: bytes are height x width x 3; else a JPEG of that size */
} image_t;

/* The crops as uint8, (boxes, 3, size, size), in `out`; gray is repeated thrice.

   What lies under any of them is decoded once. */
code_t view(context_t *context, image_t image, const box_t *boxes, int count, int size, uint8_t *out);

void free_context(context_t *context);

#endif
