/* The part of Python's stable ABI that the extension uses, declared by hand.
 *
 * The layouts are those of the stable ABI on 32-bit platforms with a GIL: a side module
 * needs no Python headers and works on every later Python of the same Emscripten ABI.
 */
#ifndef LOOM_PYTHON_H
#define LOOM_PYTHON_H

typedef int Py_ssize_t; /* wasm32 */
typedef struct object PyObject;

typedef struct {
  void *buf;
  PyObject *obj;
  Py_ssize_t len, itemsize;
  int readonly, ndim;
  char *format;
  Py_ssize_t *shape, *strides, *suboffsets;
  void *internal;
} Py_buffer;

typedef PyObject *(*Function)(PyObject *, PyObject *const *, Py_ssize_t);

typedef struct {
  const char *name;
  Function function;
  int flags;
  const char *doc;
} PyMethodDef;

typedef struct {
  Py_ssize_t references;
  void *type;
  PyObject *(*init)(void);
  Py_ssize_t index;
  PyObject *copy;
  const char *name, *doc;
  Py_ssize_t size;
  PyMethodDef *methods;
  void *slots, *traverse, *clear, *free;
} PyModuleDef;

enum { METH_FASTCALL = 0x80, MODULE_API = 1013 };
enum { PyBUF_WRITABLE = 1, PyBUF_FORMAT = 4, PyBUF_STRIDES = 0x18 };

extern PyObject _Py_NoneStruct, _Py_TrueStruct, _Py_FalseStruct;
PyObject *PyModule_Create2(PyModuleDef *, int);
int PyObject_GetBuffer(PyObject *, Py_buffer *, int);
void PyBuffer_Release(Py_buffer *);
PyObject *PyFloat_FromDouble(double);
double PyFloat_AsDouble(PyObject *);
long PyLong_AsLong(PyObject *);
PyObject *PyErr_Occurred(void);
void PyErr_Clear(void);

/* From Emscripten's C library in the main module. */
void *malloc(unsigned long);
void free(void *);

#endif
