/* The part of a tiled JPEG that a crop needs, as a small JPEG of its own. */
#ifndef JPEG_TILES_SPLICE_H
#define JPEG_TILES_SPLICE_H

#include "jpeg.h"

typedef struct {
    uint8_t *at;
    size_t most;
} buffer_t;

/* Pixels [left, right) x [top, bottom). */
typedef struct {
    int left, top, right, bottom;
} region_t;

/* 0 where there is no memory; what the buffer held is lost. */
int reserve(buffer_t *buffer, size_t size);

/* Copies the tiles under `wanted` into `buffer`, renumbers their markers, states their size in the header.

   `covered` becomes the region that they show. The result is of size 0 where `jpeg` is not in tiles as
   retile() writes them, or where its markers do not stand as they should: then all of it must be decoded. */
bytes_t splice_tiles(bytes_t jpeg, const frame_t *frame, region_t wanted, buffer_t *buffer, region_t *covered);

#endif
