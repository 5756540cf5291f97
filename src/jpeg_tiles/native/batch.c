#include "batch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

typedef struct {
    const batch_t *batch;
    atomic_int next;
} work_t;

typedef struct {
    work_t *work;
    context_t *context;
} worker_t;

static code_t one(const batch_t *batch, context_t *context, int image, uint8_t *out)
{
    uint64_t pointer = batch->pointers[image], size = batch->sizes[image];
    if (pointer > batch->file.size || size > batch->file.size - pointer) return OUT_OF_FILE;
    image_t source = {{batch->file.at + pointer, size}, batch->widths[image], batch->heights[image], batch->raw[image]};
    box_t boxes[batch->views];
    for (int k = 0; k < batch->views; k++) {
        size_t at = (size_t)image * (size_t)batch->views + (size_t)k;
        const double *box = batch->boxes + 4 * at;
        if (batch->filters[at] >= FILTERS) return BAD_BOX;
        boxes[k] = (box_t){box[0], box[1], box[2], box[3], (filter_t)batch->filters[at], batch->mirrored[at]};
    }
    return view(context, source, boxes, batch->views, batch->size, out);
}

static void *run(void *argument)
{
    worker_t *worker = argument;
    const batch_t *batch = worker->work->batch;
    size_t bytes = 3 * (size_t)batch->views * (size_t)batch->size * (size_t)batch->size;
    for (int image; (image = atomic_fetch_add(&worker->work->next, 1)) < batch->images;) {
        uint8_t *out = batch->out + (size_t)image * bytes;
        batch->codes[image] = (uint8_t)one(batch, worker->context, image, out);
        if (batch->codes[image]) memset(out, 0, bytes);
    }
    return NULL;
}

void run_batch(const batch_t *batch, context_t *contexts, int threads)
{
    work_t work = {batch, 0};
    pthread_t thread[MOST_THREADS];
    worker_t workers[MOST_THREADS];
    int started = 1;
    for (int k = 0; k < threads; k++) workers[k] = (worker_t){&work, contexts + k};
    /* Where no thread is to be had, those that there are do all. */
    while (started < threads && !pthread_create(&thread[started], NULL, run, &workers[started])) started++;
    run(&workers[0]);
    for (int k = 1; k < started; k++) pthread_join(thread[k], NULL);
}
