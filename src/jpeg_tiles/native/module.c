/* The Python module: checks every buffer's length, then leaves the interpreter's lock. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <turbojpeg.h>

#include "batch.h"
#include "retile.h"

typedef struct {
    PyObject_HEAD
    int threads, busy;
    context_t *contexts;
} decoder_t;

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"threads", NULL};
    int threads;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "i:Decoder", names, &threads)) return NULL;
    if (threads < 1 || threads > MOST_THREADS)
        return PyErr_Format(PyExc_ValueError, "threads=%d: expected 1 to %d", threads, MOST_THREADS);
    decoder_t *self = (decoder_t *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->threads = threads;
    self->contexts = PyMem_RawCalloc((size_t)threads, sizeof *self->contexts);
    if (self->contexts) return (PyObject *)self;
    Py_DECREF(self);
    return PyErr_NoMemory();
}

static void decoder_dealloc(decoder_t *self)
{
    for (int k = 0; self->contexts && k < self->threads; k++) free_context(self->contexts + k);
    PyMem_RawFree(self->contexts);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

enum { BUFFERS = 10 };

static int expect(const Py_buffer *buffer, const char *name, Py_ssize_t bytes)
{
    if (buffer->len == bytes) return 1;
    PyErr_Format(PyExc_ValueError, "%s: %zd bytes, expected %zd", name, buffer->len, bytes);
    return 0;
}

static PyObject *failures(const batch_t *batch)
{
    PyObject *list = PyList_New(0);
    for (int k = 0; list && k < batch->images; k++) {
        if (!batch->codes[k]) continue;
        PyObject *pair = Py_BuildValue("is", k, REASONS[batch->codes[k]]);
        if (!pair || PyList_Append(list, pair)) Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    return list;
}

static PyObject *run(decoder_t *self, Py_buffer *given, int views, int size)
{
    Py_ssize_t images = given[1].len / 8, all = images * views;
    if (views < 1 || views > 1 << 12 || size < 1 || size > 1 << 14 || images > 1 << 20)
        return PyErr_Format(PyExc_ValueError, "%zd images of %d views of %d pixels are too many or none", images, views, size);
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this decoder is at work in another thread: every thread needs its own");
        return NULL;
    }
    const char *names[BUFFERS] = {"file", "pointers", "sizes", "widths", "heights", "raw", "boxes", "filters", "mirrored", "out"};
    Py_ssize_t bytes[BUFFERS] = {0, 8 * images, 8 * images, 2 * images, 2 * images, images, 32 * all, all, all,
                                 3 * all * size * size};
    for (int k = 1; k < BUFFERS; k++)
        if (!expect(&given[k], names[k], bytes[k])) return NULL;
    uint8_t *codes = PyMem_RawCalloc((size_t)images + 1, 1);
    if (!codes) return PyErr_NoMemory();
    batch_t batch = {{given[0].buf, (size_t)given[0].len}, given[1].buf, given[2].buf, given[3].buf, given[4].buf, given[5].buf,
                     given[6].buf, given[7].buf, given[8].buf, (int)images, views, size, given[9].buf, codes};
    self->busy = 1;
    Py_BEGIN_ALLOW_THREADS
    run_batch(&batch, self->contexts, self->threads);
    Py_END_ALLOW_THREADS
    self->busy = 0;
    PyObject *list = failures(&batch);
    PyMem_RawFree(codes);
    return list;
}

static PyObject *decoder_views(decoder_t *self, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"file", "pointers", "sizes", "widths", "heights", "raw", "boxes", "filters", "mirrored", "out",
                            "views", "size", NULL};
    Py_buffer given[BUFFERS] = {0};
    int views, size;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "y*y*y*y*y*y*y*y*y*w*ii:views", names, &given[0], &given[1], &given[2],
                                     &given[3], &given[4], &given[5], &given[6], &given[7], &given[8], &given[9], &views, &size))
        return NULL;
    PyObject *result = run(self, given, views, size);
    for (int k = 0; k < BUFFERS; k++)
        if (given[k].obj) PyBuffer_Release(&given[k]);
    return result;
}

/* One interleaved baseline scan without restart markers, whatever the file was, of the same coefficients.

   All of them are held in memory, so what announces too many is refused. */
static code_t to_baseline(bytes_t jpeg, unsigned char **out, unsigned long *size)
{
    tjhandle transformer = tjInitTransform();
    if (!transformer) return NO_MEMORY;
    tjtransform transform = {.op = TJXOP_NONE, .options = TJXOPT_COPYNONE};
    int width = 0, height = 0, sampling, colors; /* libjpeg-turbo takes tables alone for a header, and sets nothing */
    code_t code = OK;
    if (tjDecompressHeader3(transformer, jpeg.at, (unsigned long)jpeg.size, &width, &height, &sampling, &colors) || !width)
        code = NOT_A_JPEG;
    else if ((int64_t)width * height > MOST_PIXELS) code = TOO_LARGE;
    else if (tjTransform(transformer, jpeg.at, (unsigned long)jpeg.size, 1, out, size, &transform, TJFLAG_STOPONWARNING))
        code = DAMAGED;
    tjDestroy(transformer);
    return code;
}

static PyObject *tile(PyObject *module, PyObject *args)
{
    (void)module;
    Py_buffer jpeg;
    int most = 4;
    if (!PyArg_ParseTuple(args, "y*|i:tile", &jpeg, &most)) return NULL;
    bit_writer_t out = {0};
    code_t code = most < 1 ? BAD_BOX : OK;
    Py_BEGIN_ALLOW_THREADS
    if (!code) {
        unsigned char *baseline = NULL;
        unsigned long size = 0;
        code = to_baseline((bytes_t){jpeg.buf, (size_t)jpeg.len}, &baseline, &size);
        if (!code) code = retile((bytes_t){baseline, size}, most, &out);
        tjFree(baseline);
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&jpeg);
    PyObject *result = NULL;
    if (code) PyErr_SetString(PyExc_ValueError, REASONS[code]);
    else result = PyBytes_FromStringAndSize((const char *)out.at, (Py_ssize_t)out.size);
    free(out.at);
    return result;
}

static PyMethodDef decoder_methods[] = {
    {"views", (PyCFunction)(void (*)(void))decoder_views, METH_VARARGS | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject decoder_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "jpeg_tiles._native.Decoder",
    .tp_basicsize = sizeof(decoder_t),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = decoder_new,
    .tp_dealloc = (destructor)decoder_dealloc,
    .tp_methods = decoder_methods,
};

static PyMethodDef functions[] = {{"tile", tile, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddType(module, &decoder_type) < 0) Py_CLEAR(module);
    return module;
}
