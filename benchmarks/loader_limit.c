/* What no loader can go below: libjpeg-turbo decoding the tiles under each crop, and the resize, in a loop.

   loader_limit FILE.beton JOBS PASSES   prints microseconds of processor time per image

   JOBS is an array of job_t. The tiles are cut out of the file beforehand, so the loop has no search for
   them, no copy, no crop to draw, no thread and no Python: what jpeg_tiles adds to it is its overhead. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <time.h>

#include "view.c"

typedef struct {
    uint64_t pointer, size;
    double left, top, width, height;
    int32_t image_width, image_height, mirrored, output;
} job_t;

typedef struct {
    image_t image;
    box_t box;
    bytes_t part;
    region_t covered;
    source_t source;
    int sampling;
} piece_t;

static int fail(const char *what)
{
    fprintf(stderr, "loader_limit: %s\n", what);
    return 1;
}

static bytes_t map(const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status)) return (bytes_t){0};
    void *at = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    return at == MAP_FAILED ? (bytes_t){0} : (bytes_t){at, (size_t)status.st_size};
}

/* As decode_jpeg() finds the part to decode, which is then kept. */
static int prepare(context_t *context, bytes_t file, const job_t *job, piece_t *piece)
{
    int width, height, colors;
    frame_t frame;
    buffer_t kept = {0};
    *piece = (piece_t){.image = {{file.at + job->pointer, job->size}, job->image_width, job->image_height, 0},
                       .box = {job->left, job->top, job->width, job->height, TRIANGLE, job->mirrored}};
    source_t *source = &piece->source;
    if (tjDecompressHeader3(context->decompressor, piece->image.bytes.at, job->size, &width, &height, &piece->sampling,
                            &colors) || !factors(piece->sampling, source) || !read_frame(piece->image.bytes, &frame) ||
        plan(context, piece->image, piece->box, job->output))
        return 0;
    source->is_ycc = colors == TJCS_YCbCr, source->planes = source->is_ycc ? 3 : 1;
    region_t wanted = {max(context->across.low - source->horizontal, 0), max(context->down.low - source->vertical, 0),
                       min(context->across.high + source->horizontal, width),
                       min(context->down.high + source->vertical, height)};
    piece->part = splice_tiles(piece->image.bytes, &frame, wanted, &kept, &piece->covered);
    for (int p = 0; p < 3; p++) {
        source->plane[p].left = piece->covered.left / (p ? source->horizontal : 1);
        source->plane[p].top = piece->covered.top / (p ? source->vertical : 1);
    }
    return piece->part.size > 0;
}

static int decode_and_resize(context_t *context, piece_t *piece, int output, uint8_t *out)
{
    int width = piece->covered.right - piece->covered.left, height = piece->covered.bottom - piece->covered.top;
    return !decode_planes(context, piece->part, width, height, piece->sampling, &piece->source) &&
           !plan(context, piece->image, piece->box, output) && !plan_planes(context, piece->image, &piece->source) &&
           !resample(context, &piece->source, output, 0, out);
}

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int count, char **arguments)
{
    if (count != 4) return fail("expected FILE.beton JOBS PASSES");
    bytes_t file = map(arguments[1]), list = map(arguments[2]);
    if (!file.at || !list.at) return fail("a file cannot be read");
    const job_t *jobs = (const job_t *)list.at;
    size_t images = list.size / sizeof *jobs;
    piece_t *pieces = calloc(images, sizeof *pieces);
    context_t context = {.decompressor = tjInitDecompress()};
    uint8_t *out = malloc(3 * (size_t)jobs[0].output * (size_t)jobs[0].output);
    for (size_t k = 0; k < images; k++)
        if (!prepare(&context, file, &jobs[k], &pieces[k])) return fail("an image is not in tiles");
    double began = 0;
    int passes = atoi(arguments[3]);
    for (int pass = -1; pass < passes; pass++) { /* the first is not timed */
        if (!pass) began = processor_seconds();
        for (size_t k = 0; k < images; k++)
            if (!decode_and_resize(&context, &pieces[k], jobs[k].output, out)) return fail("an image is damaged");
    }
    printf("%.3f\n", 1e6 * (processor_seconds() - began) / (double)images / passes);
    return 0;
}
