#include "huffman.h"

#include <stdlib.h>
#include <string.h>

int build_decoding(bytes_t table, decoding_t *decoding)
{
    memset(decoding, 0, sizeof *decoding);
    decoding->symbols = table.at + 16;
    uint32_t code = 0, symbol = 0;
    for (int length = 1; length <= 16; length++, code <<= 1) {
        uint32_t count = table.at[length - 1];
        if (code + count > 1u << length) return 0;
        decoding->first[length] = code, decoding->count[length] = count, decoding->offset[length] = symbol;
        for (uint32_t k = 0; k < count; k++, code++, symbol++)
            if (length <= 8) {
                uint32_t from = code << (8 - length), codes = 1u << (8 - length);
                memset(decoding->length + from, length, codes);
                memset(decoding->symbol + from, table.at[16 + symbol], codes);
            }
    }
    return 1;
}

static void fill(bit_reader_t *reader)
{
    while (reader->held <= 48) {
        int byte = 0;
        if (reader->at < reader->end) {
            byte = *reader->at++;
            if (byte == 0xFF && reader->at < reader->end) reader->at++; /* the stuffed zero */
        } else {
            reader->lacking += 8;
        }
        reader->bits = reader->bits << 8 | (unsigned)byte;
        reader->held += 8;
    }
}

int read_symbol(bit_reader_t *reader, const decoding_t *decoding)
{
    if (reader->held < 16) fill(reader);
    uint32_t next = reader->bits >> (reader->held - 16) & 0xFFFF;
    int length = decoding->length[next >> 8];
    if (length) {
        reader->held -= length;
        return decoding->symbol[next >> 8];
    }
    for (length = 9; length <= 16; length++) {
        uint32_t k = (next >> (16 - length)) - decoding->first[length];
        if (k < decoding->count[length]) {
            reader->held -= length;
            return decoding->symbols[decoding->offset[length] + k];
        }
    }
    return -1;
}

uint32_t read_bits(bit_reader_t *reader, int count)
{
    if (reader->held < count) fill(reader);
    reader->held -= count;
    return (uint32_t)(reader->bits >> reader->held) & ((1u << count) - 1);
}

/* Joins the two rarest trees until one is left; where two are as rare, the later symbols. */
static void measure_lengths(const uint32_t seen[257], int length[257])
{
    uint64_t weight[257];
    int next[257];
    for (int k = 0; k < 257; k++) weight[k] = seen[k], next[k] = -1, length[k] = 0;
    weight[256] = 1; /* reserved, so that no code is all ones */
    for (;;) {
        int rarest = -1, second = -1;
        for (int k = 0; k < 257; k++) {
            if (!weight[k]) continue;
            if (rarest < 0 || weight[k] <= weight[rarest]) second = rarest, rarest = k;
            else if (second < 0 || weight[k] <= weight[second]) second = k;
        }
        if (second < 0) return;
        weight[rarest] += weight[second], weight[second] = 0;
        int last = rarest;
        for (;; last = next[last]) {
            length[last]++;
            if (next[last] < 0) break;
        }
        next[last] = second;
        for (int k = second; k >= 0; k = next[k]) length[k]++;
    }
}

void build_coding(coding_t *coding)
{
    enum { LONGEST = 257 };
    int length[257], counts[LONGEST + 1] = {0};
    measure_lengths(coding->seen, length);
    for (int k = 0; k < 257; k++)
        if (length[k]) counts[length[k]]++;
    for (int i = LONGEST; i > 16; i--) /* figure K.3 */
        while (counts[i] > 0) {
            int j = i - 2;
            while (!counts[j]) j--;
            counts[i] -= 2, counts[i - 1]++, counts[j + 1] += 2, counts[j]--;
        }
    int longest = 16;
    while (longest && !counts[longest]) longest--;
    counts[longest]--; /* the reserved one */
    int symbols = 0;
    for (int i = 1; i <= LONGEST; i++)
        for (int k = 0; k < 256; k++)
            if (length[k] == i) coding->symbols[symbols++] = (uint8_t)k;
    uint32_t code = 0;
    for (int i = 1, k = 0; i <= 16; i++, code <<= 1) {
        coding->counts[i] = (uint8_t)counts[i];
        for (int end = k + counts[i]; k < end; k++, code++) {
            coding->code[coding->symbols[k]] = (uint16_t)code;
            coding->length[coding->symbols[k]] = (uint8_t)i;
        }
    }
    coding->used = symbols;
}

void write_byte(bit_writer_t *writer, int byte)
{
    if (writer->size == writer->most) {
        size_t most = writer->most ? 2 * writer->most : 1 << 16;
        uint8_t *at = writer->failed ? NULL : realloc(writer->at, most);
        if (!at) {
            writer->failed = 1;
            return;
        }
        writer->at = at, writer->most = most;
    }
    writer->at[writer->size++] = (uint8_t)byte;
}

void write_bits(bit_writer_t *writer, uint32_t bits, int count)
{
    writer->bits = writer->bits << count | bits;
    for (writer->held += count; writer->held >= 8;) {
        int byte = writer->bits >> (writer->held -= 8) & 0xFF;
        write_byte(writer, byte);
        if (byte == 0xFF) write_byte(writer, 0);
    }
}

void flush_bits(bit_writer_t *writer)
{
    if (writer->held) write_bits(writer, (1u << (8 - writer->held)) - 1, 8 - writer->held);
}
