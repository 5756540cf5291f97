/* Luma and chroma are resampled as they are stored, and become colors at the size of the output only. */
#include "view.h"

#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "resample.h"

typedef struct {
    plane_t plane[3];
    int planes, is_ycc;
    int horizontal, vertical, fancy; /* chroma is so many times smaller, and libjpeg-turbo interpolates it */
    const axis_t *across[3], *down[3];
} source_t;

static int min(int a, int b) { return a < b ? a : b; }
static int max(int a, int b) { return a > b ? a : b; }

static int strip_size(int size) { return (size + STRIP - 1) / STRIP * STRIP; }

/* Outputs that lie beyond the image, black; in YCbCr, a sum of no pixels would be green. */
static void blank(float (*strip)[STRIP], const source_t *source, int y)
{
    const axis_t *across = source->across[0], *down = source->down[0];
    for (int x = 0; x < across->outputs; x++)
        for (int r = 0; r < STRIP && y + r < down->outputs; r++)
            if (!across->taps[x] || !down->taps[y + r]) strip[x][r] = 0;
}

static code_t resample(context_t *context, const source_t *source, int size, int may_lie_beyond, uint8_t *out)
{
    size_t turned = (size_t)strip_size(size) * STRIP, rows = 0, pixels = (size_t)size * (size_t)size;
    for (int p = 0; p < source->planes; p++) {
        size_t needed = strip_scratch(source->across[p]);
        rows = needed > rows ? needed : rows;
    }
    if (!reserve(&context->scratch, sizeof(float) * (rows + 3 * turned))) return NO_MEMORY;
    float *scratch = (float *)context->scratch.at;
    float(*strip[3])[STRIP];
    for (int p = 0; p < 3; p++) strip[p] = (float(*)[STRIP])(scratch + rows + (size_t)p * turned);
    for (int y = 0; y < size; y += STRIP) {
        int kept = min(size - y, STRIP);
        for (int p = 0; p < source->planes; p++)
            resample_strip(&source->plane[p], source->across[p], source->down[p], y, scratch, strip[p]);
        if (source->is_ycc) to_rgb(strip[0], strip[1], strip[2], size);
        for (int p = 0; p < 3; p++) {
            float(*shown)[STRIP] = strip[p < source->planes ? p : 0];
            if (may_lie_beyond) blank(shown, source, y);
            store_strip((const float(*)[STRIP])shown, size, kept, out + (size_t)p * pixels + (size_t)y * (size_t)size,
                        (size_t)size);
        }
    }
    return OK;
}

static code_t unpack_raw(context_t *context, image_t image, region_t region, source_t *source)
{
    int width = region.right - region.left, height = region.bottom - region.top;
    for (int p = 0; p < 3; p++) {
        if (!reserve(&context->plane[p], (size_t)width * (size_t)height)) return NO_MEMORY;
        const uint8_t *from = image.bytes.at + 3 * ((size_t)region.top * (size_t)image.width + (size_t)region.left) + p;
        uint8_t *to = context->plane[p].at;
        for (int y = 0; y < height; y++, from += 3 * (size_t)image.width, to += width)
            for (int x = 0; x < width; x++) to[x] = from[3 * x];
        source->plane[p] = (plane_t){context->plane[p].at, (size_t)width, region.left, region.top};
    }
    source->planes = 3;
    return OK;
}

static int factors(int sampling, source_t *source)
{
    source->horizontal = source->vertical = source->fancy = 1;
    switch (sampling) {
    case TJSAMP_444: case TJSAMP_GRAY: return 1;
    case TJSAMP_422: source->horizontal = 2; return 1;
    case TJSAMP_420: source->horizontal = source->vertical = 2; return 1;
    case TJSAMP_440: source->vertical = 2; return 1;
    case TJSAMP_411: source->horizontal = 4, source->fancy = 0; return 1;
    default: return 0;
    }
}

static code_t decode_planes(context_t *context, bytes_t jpeg, int width, int height, int sampling, source_t *source)
{
    uint8_t *planes[3] = {0};
    int strides[3] = {0};
    for (int p = 0; p < source->planes; p++) {
        strides[p] = (tjPlaneWidth(p, width, sampling) + 31) / 32 * 32;
        if (!reserve(&context->plane[p], (size_t)strides[p] * (size_t)tjPlaneHeight(p, height, sampling)))
            return NO_MEMORY;
        planes[p] = context->plane[p].at;
        source->plane[p].at = planes[p], source->plane[p].stride = (size_t)strides[p];
    }
    int flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING;
    return tjDecompressToYUVPlanes(context->decompressor, jpeg.at, (unsigned long)jpeg.size, planes, width, strides, height,
                                   flags)
               ? DAMAGED
               : OK;
}

static code_t decode_jpeg(context_t *context, image_t image, region_t region, source_t *source)
{
    if (!context->decompressor && !(context->decompressor = tjInitDecompress())) return NO_MEMORY;
    int width = 0, height = 0, sampling = 0, colors = 0; /* tables alone pass for a header, and set nothing */
    if (tjDecompressHeader3(context->decompressor, image.bytes.at, (unsigned long)image.bytes.size, &width, &height,
                            &sampling, &colors) || !width)
        return NOT_A_JPEG;
    if (width != image.width || height != image.height) return OTHER_SIZE;
    if (!factors(sampling, source) || (colors != TJCS_YCbCr && colors != TJCS_GRAY)) return OTHER_COLORS;
    source->is_ycc = colors == TJCS_YCbCr, source->planes = source->is_ycc ? 3 : 1;
    region_t covered = {0, 0, width, height};
    bytes_t part = image.bytes;
    frame_t frame;
    if (read_frame(image.bytes, &frame)) {
        /* Interpolated chroma reaches a sample further. */
        region_t wanted = {max(region.left - source->horizontal, 0), max(region.top - source->vertical, 0),
                           min(region.right + source->horizontal, width), min(region.bottom + source->vertical, height)};
        region_t found;
        bytes_t spliced = splice_tiles(image.bytes, &frame, wanted, &context->part, &found);
        if (spliced.size) part = spliced, covered = found;
    }
    for (int p = 0; p < 3; p++) {
        source->plane[p].left = covered.left / (p ? source->horizontal : 1);
        source->plane[p].top = covered.top / (p ? source->vertical : 1);
    }
    return decode_planes(context, part, covered.right - covered.left, covered.bottom - covered.top, sampling, source);
}

static code_t plan(context_t *context, image_t image, box_t box, int size)
{
    code_t code = plan_axis(&context->across, image.width, box.left, box.width, size, box.filter, box.mirrored);
    return code ? code : plan_axis(&context->down, image.height, box.top, box.height, size, box.filter, 0);
}

/* Points the source's planes to their axes; chroma has its own where it is subsampled. */
static code_t plan_planes(context_t *context, image_t image, source_t *source)
{
    for (int p = 0; p < 3; p++) source->across[p] = &context->across, source->down[p] = &context->down;
    int horizontal = source->horizontal, vertical = source->vertical;
    code_t code = OK;
    if (source->is_ycc && horizontal > 1) {
        code = plan_subsampled(&context->chroma_across, &context->across, (image.width + horizontal - 1) / horizontal,
                               horizontal, source->fancy);
        source->across[1] = source->across[2] = &context->chroma_across;
    }
    if (!code && source->is_ycc && vertical > 1) {
        code = plan_subsampled(&context->chroma_down, &context->down, (image.height + vertical - 1) / vertical, vertical,
                               source->fancy);
        source->down[1] = source->down[2] = &context->chroma_down;
    }
    return code;
}

code_t view(context_t *context, image_t image, const box_t *boxes, int count, int size, uint8_t *out)
{
    if (image.width < 1 || image.height < 1 || image.width > LONGEST_SIDE || image.height > LONGEST_SIDE) return OTHER_SIZE;
    if ((int64_t)image.width * image.height > MOST_PIXELS) return TOO_LARGE;
    if (image.raw && image.bytes.size != 3 * (size_t)image.width * (size_t)image.height) return OTHER_SIZE;
    region_t region = {image.width, image.height, 0, 0};
    code_t code;
    for (int k = 0; k < count; k++) {
        if ((code = plan(context, image, boxes[k], size))) return code;
        region = (region_t){min(region.left, context->across.low), min(region.top, context->down.low),
                            max(region.right, context->across.high), max(region.bottom, context->down.high)};
    }
    source_t source = {.horizontal = 1, .vertical = 1};
    code = image.raw ? unpack_raw(context, image, region, &source) : decode_jpeg(context, image, region, &source);
    for (int k = 0; k < count && !code; k++, out += 3 * (size_t)size * (size_t)size) {
        if (count > 1) code = plan(context, image, boxes[k], size);
        if (!code) code = plan_planes(context, image, &source);
        if (!code) code = resample(context, &source, size, boxes[k].filter == COPY, out);
    }
    return code;
}

void free_context(context_t *context)
{
    if (context->decompressor) tjDestroy(context->decompressor);
    free(context->part.at), free(context->scratch.at);
    for (int p = 0; p < 3; p++) free(context->plane[p].at);
    free_axis(&context->across), free_axis(&context->down);
    free_axis(&context->chroma_across), free_axis(&context->chroma_down);
    memset(context, 0, sizeof *context);
}
