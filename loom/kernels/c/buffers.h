/* NumPy arrays as C sees them.
 *
 * A kernel never raises for arrays that it cannot take (another dtype, strides that it
 * does not know, memory that overlaps): it answers False and the caller uses NumPy. */
#ifndef LOOM_BUFFERS_H
#define LOOM_BUFFERS_H

#include "python.h"

enum { MAX_RANK = 8, MAX_ARRAYS = 10 };

/* A float32 array. Strides are in floats. data is null where None was given. */
typedef struct {
  float *data;
  int rank, size;
  int shape[MAX_RANK], stride[MAX_RANK];
} Array;

typedef struct {
  Py_buffer views[MAX_ARRAYS];
  int count, refused;
} Arrays;

enum Access { READ, WRITE, MAY_READ, MAY_WRITE };

Array take(Arrays *arrays, PyObject *object, enum Access access);
/* Release every view; True, or False if the kernel did not do it. */
PyObject *finish(Arrays *arrays, int done);

int contiguous(const Array *a);
/* The same shape, and both C contiguous. */
int alike(const Array *a, const Array *b);
/* Share any memory. */
int overlap(const Array *a, const Array *b);
/* Overlap, but not the same contiguous elements: an element-wise kernel cannot run. */
int tangled(const Array *a, const Array *b);

#endif
