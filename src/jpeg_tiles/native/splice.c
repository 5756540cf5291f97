#include "splice.h"

#include <stdlib.h>
#include <string.h>

enum { SLACK = 16 };

int reserve(buffer_t *buffer, size_t size)
{
    if (size <= buffer->most) return 1;
    free(buffer->at);
    buffer->at = malloc(size);
    buffer->most = buffer->at ? size : 0;
    return buffer->at != NULL;
}

static int min(int a, int b) { return a < b ? a : b; }

/* All of the header that decoding needs; comments, thumbnails and profiles stay behind. */
static size_t copy_header(bytes_t jpeg, const frame_t *frame, int width, int height, uint8_t *out)
{
    size_t size = 2;
    memcpy(out, jpeg.at, 2);
    for (size_t at = 2; at < frame->scan;) {
        int marker = jpeg.at[at + 1];
        if (marker == 0xFF) {
            at++;
            continue;
        }
        size_t length = 2 + (size_t)(jpeg.at[at + 2] << 8 | jpeg.at[at + 3]);
        if (marker < 0xE0 || marker == 0xE0 || marker == 0xEE) { /* of the rest, JFIF and Adobe tell the colors */
            memcpy(out + size, jpeg.at + at, length);
            if (at == frame->frame) {
                out[size + 5] = (uint8_t)(height >> 8), out[size + 6] = (uint8_t)height;
                out[size + 7] = (uint8_t)(width >> 8), out[size + 8] = (uint8_t)width;
            }
            size += length;
        }
        at += length;
    }
    return size;
}

bytes_t splice_tiles(bytes_t jpeg, const frame_t *frame, region_t wanted, buffer_t *buffer, region_t *covered)
{
    const bytes_t none = {NULL, 0};
    if (!frame->restart || frame->mcus_across % frame->restart) return none;
    int across = frame->mcus_across / frame->restart, width = frame->restart * frame->mcu_width;
    int first = wanted.left / width, end = (wanted.right + width - 1) / width;
    int top = wanted.top / frame->mcu_height, bottom = (wanted.bottom + frame->mcu_height - 1) / frame->mcu_height;
    *covered = (region_t){first * width, top * frame->mcu_height, min(end * width, frame->width),
                          min(bottom * frame->mcu_height, frame->height)};
    if (!reserve(buffer, jpeg.size + SLACK)) return none;
    uint8_t *out = buffer->at;
    size_t size = copy_header(jpeg, frame, covered->right - covered->left, covered->bottom - covered->top, out);
    long tiles = (long)across * frame->mcus_down, last = (long)(bottom - 1) * across + end - 1;
    size_t from = frame->scan;
    int written = 0, column = 0, row = 0;
    for (long tile = 0; tile <= last; tile++) {
        size_t to = next_marker(jpeg, from);
        if (to == jpeg.size || jpeg.at[to + 1] != (tile + 1 < tiles ? 0xD0 + (tile & 7) : 0xD9)) return none;
        if (row >= top && column >= first && column < end) {
            if (written) out[size++] = 0xFF, out[size++] = (uint8_t)(0xD0 + ((written - 1) & 7));
            memcpy(out + size, jpeg.at + from, to - from);
            size += to - from, written++;
        }
        from = to + 2;
        if (++column == across) column = 0, row++;
    }
    out[size++] = 0xFF, out[size++] = 0xD9;
    return (bytes_t){out, size};
}
