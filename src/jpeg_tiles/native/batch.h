/* Views of many images by several threads. */
#ifndef JPEG_TILES_BATCH_H
#define JPEG_TILES_BATCH_H

#include "view.h"

enum { MOST_THREADS = 1024 };

typedef struct {
    bytes_t file;
    const uint64_t *pointers, *sizes; /* of every image in the file */
    const uint16_t *widths, *heights;
    const uint8_t *raw;
    const double *boxes; /* images x views x (left, top, width, height) */
    const uint8_t *filters, *mirrored;
    int images, views, size;
    uint8_t *out;   /* images x views x 3 x size x size */
    uint8_t *codes; /* images: a code_t each; where it is not OK, the views are black */
} batch_t;

/* Returns once all is done; contexts[0] to contexts[threads - 1] are used by a thread each. */
void run_batch(const batch_t *batch, context_t *contexts, int threads);

#endif
