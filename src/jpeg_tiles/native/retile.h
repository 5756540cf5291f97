/* Lossless rewriting of a baseline JPEG with a restart marker after every few MCUs. */
#ifndef JPEG_TILES_RETILE_H
#define JPEG_TILES_RETILE_H

#include "huffman.h"

/* Largest divisor of `mcus_across` that is no larger than `most`: so no tile reaches over a row's end. */
int tile_width(int mcus_across, int most);

/* Writes `jpeg`, one baseline scan without restart markers, in tiles of at most `most` MCUs into `out`. */
code_t retile(bytes_t jpeg, int most, bit_writer_t *out);

#endif
