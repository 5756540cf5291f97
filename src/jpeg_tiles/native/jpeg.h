/* What is shared: error codes, a bounded view of bytes, and the parts of a JPEG's header. */
#ifndef JPEG_TILES_JPEG_H
#define JPEG_TILES_JPEG_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    OK = 0,
    OUT_OF_FILE,
    NOT_A_JPEG,
    OTHER_SIZE,
    OTHER_COLORS,
    TOO_LARGE,
    DAMAGED,
    BAD_BOX,
    NO_MEMORY,
    CODES
} code_t;

extern const char *const REASONS[CODES];

typedef struct {
    const uint8_t *at;
    size_t size;
} bytes_t;

enum { MOST_COMPONENTS = 4, MOST_TABLES = 4, LONGEST_SIDE = 65535, MOST_PIXELS = 1 << 28 };

typedef struct {
    int id, horizontal, vertical; /* sampling factors */
    int dc, ac;                   /* numbers of its Huffman tables; in the scan's order */
} component_t;

/* A frame of one interleaved baseline scan. */
typedef struct {
    int width, height, components, restart; /* restart: MCUs between markers, 0 for none */
    component_t component[MOST_COMPONENTS];
    int mcu_width, mcu_height, mcus_across, mcus_down;
    bytes_t huffman[2][MOST_TABLES]; /* DC, AC: 16 counts, then the symbols */
    size_t frame;                    /* offset of the marker SOF */
    size_t scan;                     /* offset of the first byte of entropy-coded data */
} frame_t;

/* Reads the header; 0 where the file is no frame of one interleaved baseline scan of 8-bit samples. */
int read_frame(bytes_t jpeg, frame_t *frame);

/* Offset of the next marker at or after `from` that is no stuffed byte, or `jpeg.size`. */
size_t next_marker(bytes_t jpeg, size_t from);

#endif
