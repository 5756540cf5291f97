/* Huffman coding of a JPEG's coefficients (ITU-T T.81, annexes C, F and K.2), without the transform. */
#ifndef JPEG_TILES_HUFFMAN_H
#define JPEG_TILES_HUFFMAN_H

#include "jpeg.h"

/* Bits of one run of entropy-coded data; `lacking` counts the zeros read beyond its end. */
typedef struct {
    const uint8_t *at, *end;
    uint64_t bits;
    int held, lacking;
} bit_reader_t;

/* `most` of the memory at `at` is used up to `size`; `failed` once there was none to be had. */
typedef struct {
    uint8_t *at;
    size_t size, most;
    uint64_t bits;
    int held, failed;
} bit_writer_t;

typedef struct {
    uint8_t length[256], symbol[256]; /* by the first eight bits; a length of 0 says that the code is longer */
    uint32_t first[17], count[17], offset[17];
    const uint8_t *symbols;
} decoding_t;

typedef struct {
    uint32_t seen[257];
    uint16_t code[256];
    uint8_t length[256];
    uint8_t counts[17], symbols[256]; /* as a file states them */
    int used;
} coding_t;

int build_decoding(bytes_t table, decoding_t *decoding);
/* The symbol, or -1 where no code begins with the bits to come. */
int read_symbol(bit_reader_t *reader, const decoding_t *decoding);
uint32_t read_bits(bit_reader_t *reader, int count);

/* The shortest codes of at most 16 bits for the symbols in `seen` (annex K.2). */
void build_coding(coding_t *coding);

void write_byte(bit_writer_t *writer, int byte);
void write_bits(bit_writer_t *writer, uint32_t bits, int count); /* stuffs a zero after 0xFF */
void flush_bits(bit_writer_t *writer);                           /* fills the byte with ones */

#endif
