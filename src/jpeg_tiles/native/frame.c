/* The header of a baseline JPEG (ITU-T T.81, annex B). */
#include "jpeg.h"

#include <string.h>

const char *const REASONS[CODES] = {
    [OK] = "",
    [OUT_OF_FILE] = "its bytes lie outside of the file",
    [NOT_A_JPEG] = "is not a JPEG that libjpeg-turbo reads",
    [OTHER_SIZE] = "has another height or width than its entry says",
    [OTHER_COLORS] = "has other colors than gray or YCbCr, or a chroma sampling that libjpeg-turbo has no name for",
    [TOO_LARGE] = "has more than 2^28 pixels",
    [DAMAGED] = "is damaged: libjpeg-turbo stops in its data",
    [BAD_BOX] = "is to be cropped to a box that does not meet it",
    [NO_MEMORY] = "takes more memory than there is",
};

enum { SOF0 = 0xC0, DHT = 0xC4, SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DRI = 0xDD, RST0 = 0xD0, RST7 = 0xD7 };

static int word(const uint8_t *at) { return at[0] << 8 | at[1]; }

static int read_tables(const uint8_t *at, const uint8_t *end, frame_t *frame)
{
    while (at < end) {
        if (end - at < 17) return 0;
        int kind = at[0] >> 4, number = at[0] & 15, symbols = 0;
        for (int length = 1; length <= 16; length++) symbols += at[length];
        if (kind > 1 || number >= MOST_TABLES || symbols > 256 || end - at < 17 + symbols) return 0;
        frame->huffman[kind][number] = (bytes_t){at + 1, 16 + (size_t)symbols};
        at += 17 + symbols;
    }
    return 1;
}

static int read_sizes(const uint8_t *at, const uint8_t *end, frame_t *frame)
{
    if (end - at < 6 || at[0] != 8) return 0;
    frame->height = word(at + 1), frame->width = word(at + 3), frame->components = at[5];
    if (!frame->height || !frame->width || frame->components < 1 || frame->components > MOST_COMPONENTS) return 0;
    if (end - at < 6 + 3 * frame->components) return 0;
    int widest = 1, highest = 1;
    for (int c = 0; c < frame->components; c++) {
        component_t *component = &frame->component[c];
        component->id = at[6 + 3 * c];
        component->horizontal = at[7 + 3 * c] >> 4, component->vertical = at[7 + 3 * c] & 15;
        if (component->horizontal < 1 || component->horizontal > 4 || component->vertical < 1 || component->vertical > 4)
            return 0;
        if (component->horizontal > widest) widest = component->horizontal;
        if (component->vertical > highest) highest = component->vertical;
    }
    if (frame->components == 1) /* a scan of one component has MCUs of one block (A.2.2) */
        widest = highest = frame->component[0].horizontal = frame->component[0].vertical = 1;
    frame->mcu_width = 8 * widest, frame->mcu_height = 8 * highest;
    frame->mcus_across = (frame->width + frame->mcu_width - 1) / frame->mcu_width;
    frame->mcus_down = (frame->height + frame->mcu_height - 1) / frame->mcu_height;
    return 1;
}

static int read_scan(const uint8_t *at, const uint8_t *end, frame_t *frame)
{
    int components = frame->components;
    if (!components || end - at != 4 + 2 * components || at[0] != components) return 0;
    for (int c = 0; c < components; c++) {
        component_t *component = &frame->component[c];
        if (at[1 + 2 * c] != component->id) return 0;
        component->dc = at[2 + 2 * c] >> 4, component->ac = at[2 + 2 * c] & 15;
        if (component->dc >= MOST_TABLES || component->ac >= MOST_TABLES) return 0;
        if (!frame->huffman[0][component->dc].at || !frame->huffman[1][component->ac].at) return 0;
    }
    const uint8_t *rest = at + 1 + 2 * components;
    return rest[0] == 0 && rest[1] == 63 && rest[2] == 0;
}

int read_frame(bytes_t jpeg, frame_t *frame)
{
    memset(frame, 0, sizeof *frame);
    if (jpeg.size < 4 || jpeg.at[0] != 0xFF || jpeg.at[1] != SOI) return 0;
    for (size_t at = 2;;) {
        if (jpeg.size - at < 4 || jpeg.at[at] != 0xFF) return 0;
        int marker = jpeg.at[at + 1];
        if (marker == 0xFF) { /* a fill byte */
            at++;
            continue;
        }
        size_t length = (size_t)word(jpeg.at + at + 2);
        if (marker < SOF0 || marker == EOI || length < 2 || jpeg.size - at - 2 < length) return 0;
        const uint8_t *body = jpeg.at + at + 4, *end = jpeg.at + at + 2 + length;
        if (marker == SOF0 || marker == SOF0 + 1) {
            if (frame->components || !read_sizes(body, end, frame)) return 0;
            frame->frame = at;
        } else if (marker == DHT) {
            if (!read_tables(body, end, frame)) return 0;
        } else if (marker == DRI) {
            if (length != 4) return 0;
            frame->restart = word(body);
        } else if (marker == SOS) {
            frame->scan = at + 2 + length;
            return read_scan(body, end, frame);
        } else if (marker < DRI && (marker & 0xF0) == SOF0) {
            return 0; /* progressive, lossless, arithmetic */
        } else if (marker >= RST0 && marker <= SOI) {
            return 0;
        }
        at += 2 + length;
    }
}

size_t next_marker(bytes_t jpeg, size_t from)
{
    while (from + 1 < jpeg.size) {
        const uint8_t *found = memchr(jpeg.at + from, 0xFF, jpeg.size - 1 - from);
        if (!found) break;
        from = (size_t)(found - jpeg.at);
        if (jpeg.at[from + 1] && jpeg.at[from + 1] != 0xFF) return from;
        from += jpeg.at[from + 1] ? 1 : 2;
    }
    return jpeg.size;
}
