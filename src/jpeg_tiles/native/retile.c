/* The coefficients stay what they are; every tile starts from a DC of 0, and the Huffman tables are made anew.

The file is gone through twice: to count the symbols, then to write them. */
#include "retile.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    decoding_t decoding[2][MOST_TABLES];
    coding_t coding[2][MOST_TABLES];
    bit_writer_t *out; /* NULL while counting */
} pass_t;

int tile_width(int mcus_across, int most)
{
    int width = most < mcus_across ? most : mcus_across;
    while (mcus_across % width) width--;
    return width;
}

static void put(pass_t *pass, int kind, int table, int symbol, uint32_t extra, int extra_bits)
{
    coding_t *coding = &pass->coding[kind][table];
    if (!pass->out) {
        coding->seen[symbol]++;
        return;
    }
    write_bits(pass->out, coding->code[symbol], coding->length[symbol]);
    write_bits(pass->out, extra, extra_bits);
}

/* A coefficient of `bits` bits as figure F.12 codes it, and back. */
static int extend(uint32_t coded, int bits)
{
    return bits && coded < 1u << (bits - 1) ? (int)coded - (1 << bits) + 1 : (int)coded;
}

static void put_dc(pass_t *pass, int table, int difference)
{
    int bits = 0;
    for (uint32_t size = (uint32_t)abs(difference); size; size >>= 1) bits++;
    uint32_t coded = (uint32_t)(difference < 0 ? difference - 1 : difference) & ((1u << bits) - 1);
    put(pass, 0, table, bits, coded, bits);
}

static int copy_block(pass_t *pass, bit_reader_t *in, const component_t *component, int *read_dc, int *written_dc)
{
    int bits = read_symbol(in, &pass->decoding[0][component->dc]);
    if (bits < 0 || bits > 11) return 0;
    *read_dc += extend(read_bits(in, bits), bits);
    if (*read_dc < -2047 || *read_dc > 2047) return 0;
    put_dc(pass, component->dc, *read_dc - *written_dc);
    *written_dc = *read_dc;
    for (int k = 1; k < 64; k++) {
        int symbol = read_symbol(in, &pass->decoding[1][component->ac]);
        if (symbol < 0) return 0;
        int run = symbol >> 4, size = symbol & 15;
        if (size > 10 || (!size && run != 0 && run != 15)) return 0;
        put(pass, 1, component->ac, symbol, read_bits(in, size), size);
        if (!size && !run) break; /* the rest of the block is zero */
        k += run;
        if (k > 63) return 0;
    }
    return in->lacking <= in->held; /* what lies beyond the end has not been used */
}

static code_t copy_scan(pass_t *pass, bytes_t jpeg, const frame_t *frame, int tile)
{
    bytes_t rest = {jpeg.at + frame->scan, jpeg.size - frame->scan};
    bit_reader_t in = {rest.at, rest.at + next_marker(rest, 0), 0, 0, 0};
    int read_dc[MOST_COMPONENTS] = {0}, written_dc[MOST_COMPONENTS] = {0};
    long mcus = (long)frame->mcus_across * frame->mcus_down;
    for (long mcu = 0; mcu < mcus; mcu++) {
        if (mcu && mcu % tile == 0) {
            memset(written_dc, 0, sizeof written_dc);
            if (pass->out) {
                flush_bits(pass->out);
                write_byte(pass->out, 0xFF), write_byte(pass->out, 0xD0 + (int)((mcu / tile - 1) & 7));
            }
        }
        for (int c = 0; c < frame->components; c++) {
            const component_t *component = &frame->component[c];
            for (int block = 0; block < component->horizontal * component->vertical; block++)
                if (!copy_block(pass, &in, component, &read_dc[c], &written_dc[c])) return DAMAGED;
        }
        if (pass->out && pass->out->failed) return NO_MEMORY;
    }
    return OK;
}

static void put_word(bit_writer_t *out, int word) { write_byte(out, word >> 8), write_byte(out, word & 0xFF); }

static void put_header(const pass_t *pass, bytes_t jpeg, int tile, bit_writer_t *out)
{
    put_word(out, 0xFFD8);
    for (size_t at = 2;;) {
        if (jpeg.at[at + 1] == 0xFF) {
            at++;
            continue;
        }
        int marker = jpeg.at[at + 1];
        size_t next = at + 2 + (size_t)(jpeg.at[at + 2] << 8 | jpeg.at[at + 3]);
        if (marker == 0xDA) { /* before the scan: the interval and the tables */
            put_word(out, 0xFFDD), put_word(out, 4), put_word(out, tile);
            for (int kind = 0; kind < 2; kind++)
                for (int table = 0; table < MOST_TABLES; table++) {
                    const coding_t *coding = &pass->coding[kind][table];
                    if (!coding->used) continue;
                    put_word(out, 0xFFC4), put_word(out, 19 + coding->used), write_byte(out, kind << 4 | table);
                    for (int k = 1; k <= 16; k++) write_byte(out, coding->counts[k]);
                    for (int k = 0; k < coding->used; k++) write_byte(out, coding->symbols[k]);
                }
        }
        if (marker != 0xC4 && marker != 0xDD)
            while (at < next) write_byte(out, jpeg.at[at++]);
        at = next;
        if (marker == 0xDA) return;
    }
}

static code_t rewrite(pass_t *pass, bytes_t jpeg, const frame_t *frame, int tile, bit_writer_t *out)
{
    for (int kind = 0; kind < 2; kind++)
        for (int table = 0; table < MOST_TABLES; table++)
            if (frame->huffman[kind][table].at && !build_decoding(frame->huffman[kind][table], &pass->decoding[kind][table]))
                return DAMAGED;
    code_t code = copy_scan(pass, jpeg, frame, tile);
    if (code) return code;
    for (int c = 0; c < frame->components; c++) {
        coding_t *dc = &pass->coding[0][frame->component[c].dc], *ac = &pass->coding[1][frame->component[c].ac];
        if (!dc->used) build_coding(dc);
        if (!ac->used) build_coding(ac);
    }
    put_header(pass, jpeg, tile, out);
    pass->out = out;
    code = copy_scan(pass, jpeg, frame, tile);
    flush_bits(out);
    put_word(out, 0xFFD9);
    return code ? code : out->failed ? NO_MEMORY : OK;
}

code_t retile(bytes_t jpeg, int most, bit_writer_t *out)
{
    frame_t frame;
    if (!read_frame(jpeg, &frame) || frame.restart) return NOT_A_JPEG;
    pass_t *pass = calloc(1, sizeof *pass);
    if (!pass) return NO_MEMORY;
    code_t code = rewrite(pass, jpeg, &frame, tile_width(frame.mcus_across, most), out);
    free(pass);
    return code;
}
