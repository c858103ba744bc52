#ifndef LOOM_STANDALONE

#include "buffers.h"

Array take(Arrays *arrays, PyObject *object, enum Access access) {
  Array a = {0};
  if (arrays->refused || (access >= MAY_READ && object == &_Py_NoneStruct)) return a;
  Py_buffer *view = &arrays->views[arrays->count];
  int writes = access == WRITE || access == MAY_WRITE;
  int flags = PyBUF_FORMAT | PyBUF_STRIDES | (writes ? PyBUF_WRITABLE : 0);
  arrays->refused = 1;
  if (PyObject_GetBuffer(object, view, flags)) {
    PyErr_Clear();
    return a;
  }
  arrays->count++;
  if (view->itemsize != 4 || view->ndim > MAX_RANK || !view->format) return a;
  if (view->format[0] != 'f' || view->format[1]) return a;
  a.size = 1;
  for (int i = 0; i < view->ndim; i++) {
    if (view->strides[i] % 4) return a;
    a.shape[i] = view->shape[i];
    a.stride[i] = view->strides[i] / 4;
    a.size *= view->shape[i];
  }
  a.rank = view->ndim;
  a.data = view->buf;
  arrays->refused = 0;
  return a;
}

PyObject *finish(Arrays *arrays, int done) {
  while (arrays->count) PyBuffer_Release(&arrays->views[--arrays->count]);
  return done ? &_Py_TrueStruct : &_Py_FalseStruct;
}

int contiguous(const Array *a) {
  int step = 1;
  for (int i = a->rank - 1; i >= 0; i--) {
    if (a->shape[i] != 1 && a->stride[i] != step && a->size) return 0;
    step *= a->shape[i];
  }
  return 1;
}

int alike(const Array *a, const Array *b) {
  if (a->rank != b->rank) return 0;
  for (int i = 0; i < a->rank; i++)
    if (a->shape[i] != b->shape[i]) return 0;
  return contiguous(a) && contiguous(b);
}

/* The first float of an array and the one past its last. */
static void extent(const Array *a, const float **from, const float **to) {
  *from = *to = a->data;
  for (int i = 0; i < a->rank; i++) {
    if (!a->shape[i]) {
      *to = *from = a->data;
      return;
    }
    int span = (a->shape[i] - 1) * a->stride[i];
    if (span < 0) *from += span;
    else *to += span;
  }
  *to += 1;
}

int overlap(const Array *a, const Array *b) {
  if (!a->data || !b->data || !a->size || !b->size) return 0;
  const float *a_from, *a_to, *b_from, *b_to;
  extent(a, &a_from, &a_to);
  extent(b, &b_from, &b_to);
  return a_from < b_to && b_from < a_to;
}

int tangled(const Array *a, const Array *b) {
  return overlap(a, b) && !(a->data == b->data && alike(a, b));
}

#endif
