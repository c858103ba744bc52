/* The extension module: arrays in, True out, or False where NumPy has to do it.
 *
 * Built as `_simd` (SIMD128) and `_relaxed` (with relaxed SIMD) from the same files. */
#ifndef LOOM_STANDALONE

#include "buffers.h"
#include "convolution.h"
#include "elementwise.h"
#include "gemm.h"
#include "norm.h"
#include "optimizers.h"
#include "recurrent.h"
#include "softmax.h"

#define METHOD(name) \
  static PyObject *name(PyObject *self, PyObject *const *args, Py_ssize_t count)
#define EXPECT(n) \
  Arrays arrays = {0}; \
  (void)self; \
  if (count != (n)) return &_Py_FalseStruct
#define TAKE(i, access) take(&arrays, args[i], access)

/* A code that elementwise.h knows, or -1. */
static int activation_code(PyObject *object) {
  long code = PyLong_AsLong(object);
  if (PyErr_Occurred()) PyErr_Clear();
  return (code >= 0 && code < ACTIVATION_COUNT) || code == EXP ? (int)code : -1;
}

/* Matrix products -------------------------------------------------------------------- */

static Matrix matrix(const Array *a) {
  int row = a->rank - 2;
  return (Matrix){a->data, a->stride[row], a->stride[row + 1]};
}

/* Steps through all but the last `inner` axes of out; an axis of 1, or none, repeats. */
static int offset_of(const Array *a, const Array *out, int inner, int index) {
  int offset = 0;
  for (int axis = out->rank - 1 - inner; axis >= 0; axis--) {
    int at = index % out->shape[axis], own = axis - (out->rank - a->rank);
    index /= out->shape[axis];
    if (own >= 0 && a->shape[own] != 1) offset += at * a->stride[own];
  }
  return offset;
}

static int fits(const Array *a, const Array *out) {
  if (a->rank < 2 || a->rank > out->rank) return 0;
  for (int axis = out->rank - 3; axis >= 0; axis--) {
    int own = axis - (out->rank - a->rank);
    if (own >= 0 && a->shape[own] != 1 && a->shape[own] != out->shape[axis]) return 0;
  }
  return 1;
}

static int product(Array *a, Array *b, Array *out, const Array *bias, int activation) {
  if (out->rank < 2 || !fits(a, out) || !fits(b, out)) return 0;
  if (overlap(a, out) || overlap(b, out) || overlap(bias, out)) return 0;
  int m = out->shape[out->rank - 2], n = out->shape[out->rank - 1];
  int k = a->shape[a->rank - 1];
  if (a->shape[a->rank - 2] != m || b->shape[b->rank - 1] != n) return 0;
  if (b->shape[b->rank - 2] != k) return 0;
  if (bias->data && (bias->rank != 1 || bias->shape[0] != n || !contiguous(bias)))
    return 0;
  int rows = out->stride[out->rank - 2], columns = out->stride[out->rank - 1];
  int count = 1;
  for (int axis = 0; axis < out->rank - 2; axis++) count *= out->shape[axis];
  if (columns != 1 && n > 1 && (rows != 1 || bias->data)) return 0;
  int turned = columns != 1 && n > 1;
  Finish finish = {bias->data, activation};
  for (int i = 0; i < count; i++) {
    Matrix left = matrix(a), right = matrix(b);
    left.data += offset_of(a, out, 2, i);
    right.data += offset_of(b, out, 2, i);
    float *to = out->data + offset_of(out, out, 2, i);
    if (turned) { /* out^T = b^T a^T */
      Matrix flipped = {right.data, right.columns, right.rows};
      right = (Matrix){left.data, left.columns, left.rows};
      if (!gemm(n, m, k, flipped, right, to, columns, 0, finish)) return 0;
    } else if (!gemm(m, n, k, left, right, to, rows, 0, finish)) {
      return 0;
    }
  }
  return 1;
}

/* matmul(a, b, out, bias or None, activation code) */
METHOD(matmul) {
  EXPECT(5);
  Array a = TAKE(0, READ), b = TAKE(1, READ), out = TAKE(2, WRITE);
  Array bias = TAKE(3, MAY_READ);
  int code = activation_code(args[4]);
  int fit = !arrays.refused && code >= 0;
  return finish(&arrays, fit && product(&a, &b, &out, &bias, code));
}

/* Activations ------------------------------------------------------------------------ */

/* forward(code, v, y) */
METHOD(forward) {
  EXPECT(3);
  Array v = TAKE(1, READ), y = TAKE(2, WRITE);
  int code = activation_code(args[0]);
  int fit = !arrays.refused && code >= 0 && alike(&v, &y);
  if (!fit || tangled(&v, &y)) return finish(&arrays, 0);
  activate(code, v.data, 0, y.data, v.size);
  return finish(&arrays, 1);
}

/* backward(code, dy, v or y, d) */
METHOD(backward) {
  EXPECT(4);
  Array dy = TAKE(1, READ), s = TAKE(2, READ), d = TAKE(3, WRITE);
  int code = activation_code(args[0]);
  int fit = !arrays.refused && code >= 0 && code != EXP;
  if (!fit || !alike(&dy, &d) || !alike(&s, &d)) return finish(&arrays, 0);
  if (tangled(&dy, &d) || tangled(&s, &d)) return finish(&arrays, 0);
  activate_backward(code, dy.data, s.data, d.data, d.size);
  return finish(&arrays, 1);
}

/* softmax(x, y) over the last axis */
METHOD(softmax) {
  EXPECT(2);
  Array x = TAKE(0, READ), y = TAKE(1, WRITE);
  if (arrays.refused || !alike(&x, &y) || tangled(&x, &y) || !x.rank || !x.size)
    return finish(&arrays, 0);
  int n = x.shape[x.rank - 1];
  for (int i = 0; i < x.size; i += n) softmax_row(x.data + i, y.data + i, n);
  return finish(&arrays, 1);
}

/* exp_rows(x, y, total): y = exp(x - max) over the last axis, total (..., 1) its sums */
METHOD(exp_rows) {
  EXPECT(3);
  Array x = TAKE(0, READ), y = TAKE(1, WRITE), total = TAKE(2, WRITE);
  if (arrays.refused || !alike(&x, &y) || tangled(&x, &y) || !x.rank || !x.size)
    return finish(&arrays, 0);
  int n = x.shape[x.rank - 1], rows = x.size / n;
  if (total.size != rows || total.rank != x.rank || overlap(&total, &y) ||
      total.shape[total.rank - 1] != 1)
    return finish(&arrays, 0);
  for (int i = 0; i < rows; i++)
    total.data[offset_of(&total, &x, 1, i)] =
        exp_row(x.data + i * n, y.data + i * n, n);
  return finish(&arrays, 1);
}

/* softmax_backward(dy, y, dx) */
METHOD(softmax_backward) {
  EXPECT(3);
  Array dy = TAKE(0, READ), y = TAKE(1, READ), dx = TAKE(2, WRITE);
  if (arrays.refused || !alike(&dy, &dx) || !alike(&y, &dx) || !dx.rank || !dx.size)
    return finish(&arrays, 0);
  if (tangled(&dy, &dx) || tangled(&y, &dx)) return finish(&arrays, 0);
  int n = dx.shape[dx.rank - 1];
  for (int i = 0; i < dx.size; i += n)
    softmax_row_backward(dy.data + i, y.data + i, dx.data + i, n);
  return finish(&arrays, 1);
}

/* Numbers from args[first] on, in order. */
static int scalars(PyObject *const *args, int first, int count, double *to) {
  for (int i = 0; i < count; i++) {
    to[i] = PyFloat_AsDouble(args[first + i]);
    if (to[i] == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      return 0;
    }
  }
  return 1;
}

/* Whether a is (n,) with contiguous values, or None where it may be. */
static int vector(const Array *a, int n, int optional) {
  return (!a->data && optional) || (a->rank == 1 && a->shape[0] == n && contiguous(a));
}

/* norm(x, w, b or None, epsilon, plain, rows, scale (..., 1), y) */
METHOD(norm) {
  EXPECT(8);
  Array x = TAKE(0, READ), w = TAKE(1, READ), b = TAKE(2, MAY_READ);
  Array rows = TAKE(5, WRITE), scale = TAKE(6, WRITE), y = TAKE(7, WRITE);
  double given[2];
  int n = x.rank ? x.shape[x.rank - 1] : 0;
  if (arrays.refused || !n || !scalars(args, 3, 2, given) || !alike(&x, &rows) ||
      !alike(&x, &y) || !vector(&w, n, 0) || !vector(&b, n, 1) || !contiguous(&scale) ||
      scale.size * n != x.size || overlap(&rows, &y) || overlap(&x, &rows) ||
      overlap(&w, &y) || overlap(&b, &y))
    return finish(&arrays, 0);
  for (int i = 0; i < scale.size; i++)
    norm_row(x.data + i * n, w.data, b.data, given[0], given[1] != 0, rows.data + i * n,
             scale.data + i, y.data + i * n, n);
  return finish(&arrays, 1);
}

/* norm_backward(dy, rows, scale, w, plain, dx or None, dw, db or None); adds to dw, db */
METHOD(norm_backward) {
  EXPECT(8);
  Array dy = TAKE(0, READ), rows = TAKE(1, READ), scale = TAKE(2, READ);
  Array w = TAKE(3, READ), dx = TAKE(5, MAY_WRITE), dw = TAKE(6, WRITE);
  Array db = TAKE(7, MAY_WRITE);
  double plain;
  int n = dy.rank ? dy.shape[dy.rank - 1] : 0;
  if (arrays.refused || !n || !scalars(args, 4, 1, &plain) || !alike(&dy, &rows) ||
      (dx.data && (!alike(&dy, &dx) || overlap(&dx, &dy) || overlap(&dx, &rows))) ||
      !vector(&w, n, 0) || !vector(&dw, n, 0) || !vector(&db, n, 1) ||
      !contiguous(&scale) || scale.size * n != dy.size)
    return finish(&arrays, 0);
  for (int i = 0; i < scale.size; i++)
    norm_row_backward(dy.data + i * n, rows.data + i * n, scale.data[i], w.data,
                      plain != 0, dx.data ? dx.data + i * n : 0, dw.data, db.data, n);
  return finish(&arrays, 1);
}

/* Convolution ------------------------------------------------------------------------ */

/* x (n, C, H, W) with kernel, stride and padding from args[3] on. */
static int images(const Array *x, PyObject *const *args, Images *g) {
  double given[3];
  if (x->rank != 4 || !contiguous(x) || !scalars(args, 3, 3, given)) return 0;
  *g = (Images){x->shape[0], x->shape[1], x->shape[2], x->shape[3],
                given[0],    given[1],    given[2],    0, 0};
  if (g->kernel < 1 || g->stride < 1 || g->padding < 0) return 0;
  int rows = g->height + 2 * g->padding - g->kernel;
  int columns = g->width + 2 * g->padding - g->kernel;
  g->out_height = rows / g->stride + 1;
  g->out_width = columns / g->stride + 1;
  return rows >= 0 && columns >= 0 && g->channels > 0;
}

/* convolve(x, w, y, kernel, stride, padding) */
METHOD(py_convolve) {
  EXPECT(6);
  Array x = TAKE(0, READ), w = TAKE(1, READ), y = TAKE(2, WRITE);
  Images g;
  if (arrays.refused || !images(&x, args, &g)) return finish(&arrays, 0);
  int taps = g.channels * g.kernel * g.kernel;
  int fit = w.rank == 2 && w.shape[1] == taps + 1 && contiguous(&w) && y.rank == 4 &&
            y.shape[0] == g.samples && y.shape[1] == w.shape[0] &&
            y.shape[2] == g.out_height && y.shape[3] == g.out_width &&
            contiguous(&y) && !overlap(&x, &y) && !overlap(&w, &y);
  return finish(&arrays, fit && convolve(g, w.shape[0], x.data, w.data, y.data));
}

/* Whether columns are (C K K or more, n, OH OW), as contiguous memory. */
static int columns_of(const Array *columns, const Array *x, Images g) {
  return columns->rank == 3 && contiguous(columns) && !overlap(columns, x) &&
         columns->shape[0] >= g.channels * g.kernel * g.kernel &&
         columns->shape[1] == g.samples &&
         columns->shape[2] == g.out_height * g.out_width;
}

/* gather(x, columns, None, kernel, stride, padding) */
METHOD(gather) {
  EXPECT(6);
  Array x = TAKE(0, READ), columns = TAKE(1, WRITE);
  Images g;
  int fit = !arrays.refused && images(&x, args, &g) && columns_of(&columns, &x, g);
  return finish(&arrays, fit && gather_windows(g, x.data, columns.data));
}

/* scatter(columns, x, None, kernel, stride, padding) */
METHOD(scatter) {
  EXPECT(6);
  Array columns = TAKE(0, READ), x = TAKE(1, WRITE);
  Images g;
  int fit = !arrays.refused && images(&x, args, &g) && columns_of(&columns, &x, g);
  return finish(&arrays, fit && scatter_windows(g, columns.data, x.data));
}

/* Recurrent layers ------------------------------------------------------------------- */

static int is(const Array *a, int rank, int x, int y, int z) {
  const int shape[] = {x, y, z};
  for (int i = 0; i < rank; i++)
    if (a->rank != rank || a->shape[i] != shape[i]) return 0;
  return contiguous(a);
}

/* The extent of columns (T + 1, K, B) for a hidden size. */
static int extent_of(const Array *columns, int hidden, Extent *e) {
  *e = (Extent){columns->shape[0] - 1, hidden, columns->shape[1], columns->shape[2]};
  return columns->rank == 3 && e->steps >= 0 && hidden <= e->rows && contiguous(columns);
}

/* lstm_forward(w, columns, gates, cells, squashed) */
METHOD(py_lstm_forward) {
  EXPECT(5);
  Array w = TAKE(0, READ), columns = TAKE(1, WRITE), gates = TAKE(2, WRITE);
  Array cells = TAKE(3, WRITE), squashed = TAKE(4, WRITE);
  Extent e;
  int h = squashed.shape[1];
  int fit = !arrays.refused && extent_of(&columns, h, &e) &&
            is(&w, 2, 4 * h, e.rows, 0) && is(&gates, 3, e.steps, 4 * h, e.batch) &&
            is(&cells, 3, e.steps + 1, h, e.batch) &&
            is(&squashed, 3, e.steps, h, e.batch);
  return finish(&arrays, fit && lstm_forward(e, w.data, columns.data, gates.data,
                                             cells.data, squashed.data));
}

/* lstm_backward(w, gates, cells, squashed, dy, dv) */
METHOD(py_lstm_backward) {
  EXPECT(6);
  Array w = TAKE(0, READ), gates = TAKE(1, READ), cells = TAKE(2, READ);
  Array squashed = TAKE(3, READ), dy = TAKE(4, READ), dv = TAKE(5, WRITE);
  int t = squashed.shape[0], h = squashed.shape[1], b = squashed.shape[2];
  Extent e = {t, h, w.shape[1], b};
  int fit = !arrays.refused && is(&squashed, 3, t, h, b) && is(&dy, 3, t, h, b) &&
            is(&gates, 3, t, 4 * h, b) && is(&cells, 3, t + 1, h, b) &&
            is(&dv, 3, 4 * h, t, b) && is(&w, 2, 4 * h, e.rows, 0) && h <= e.rows;
  return finish(&arrays, fit && lstm_backward(e, w.data, gates.data, cells.data,
                                              squashed.data, dy.data, dv.data));
}

/* rnn_forward(w, columns) */
METHOD(py_rnn_forward) {
  EXPECT(2);
  Array w = TAKE(0, READ), columns = TAKE(1, WRITE);
  Extent e;
  int fit = !arrays.refused && extent_of(&columns, w.shape[0], &e) &&
            is(&w, 2, e.hidden, e.rows, 0);
  return finish(&arrays, fit && rnn_forward(e, w.data, columns.data));
}

/* rnn_backward(w_hh, columns, dy, dv) */
METHOD(py_rnn_backward) {
  EXPECT(4);
  Array w = TAKE(0, READ), columns = TAKE(1, READ), dy = TAKE(2, READ);
  Array dv = TAKE(3, WRITE);
  Extent e;
  int h = dv.shape[0];
  int fit = !arrays.refused && extent_of(&columns, h, &e) && w.rank == 2 &&
            w.shape[0] == h && w.shape[1] == h && is(&dy, 3, e.steps, h, e.batch) &&
            is(&dv, 3, h, e.steps, e.batch);
  Matrix turned = {w.data, w.stride[1], w.stride[0]};
  return finish(&arrays, fit && rnn_backward(e, turned, columns.data, dy.data, dv.data));
}

/* gru_forward(w, columns, gates) */
METHOD(py_gru_forward) {
  EXPECT(3);
  Array w = TAKE(0, READ), columns = TAKE(1, WRITE), gates = TAKE(2, WRITE);
  Extent e;
  int h = gates.shape[1] / 4;
  int fit = !arrays.refused && extent_of(&columns, h, &e) &&
            is(&w, 2, 4 * h, e.rows, 0) && is(&gates, 3, e.steps, 4 * h, e.batch);
  return finish(&arrays, fit && gru_forward(e, w.data, columns.data, gates.data));
}

/* gru_backward(w, columns, gates, dy, dv) */
METHOD(py_gru_backward) {
  EXPECT(5);
  Array w = TAKE(0, READ), columns = TAKE(1, READ), gates = TAKE(2, READ);
  Array dy = TAKE(3, READ), dv = TAKE(4, WRITE);
  Extent e;
  int h = gates.shape[1] / 4;
  int fit = !arrays.refused && extent_of(&columns, h, &e) &&
            is(&w, 2, 4 * h, e.rows, 0) && is(&gates, 3, e.steps, 4 * h, e.batch) &&
            is(&dy, 3, e.steps, h, e.batch) && is(&dv, 3, 4 * h, e.steps, e.batch);
  return finish(&arrays, fit && gru_backward(e, w.data, columns.data, gates.data, dy.data,
                                             dv.data));
}

/* Optimizers ------------------------------------------------------------------------- */

/* sgd(w, g, m or None, rate, decay, momentum, nesterov) */
METHOD(sgd) {
  EXPECT(7);
  Array w = TAKE(0, WRITE), g = TAKE(1, READ), m = TAKE(2, MAY_WRITE);
  SGD s;
  if (arrays.refused || !scalars(args, 3, 4, &s.rate) || !alike(&g, &w) ||
      (m.data && !alike(&m, &w)) || overlap(&g, &w) || overlap(&m, &w))
    return finish(&arrays, 0);
  sgd_step(w.data, g.data, m.data, w.size, s);
  return finish(&arrays, 1);
}

/* adam(w, g, m, v, step_size, root, beta1, beta2, epsilon, decay, shrink) */
METHOD(adam) {
  EXPECT(11);
  Array w = TAKE(0, WRITE), g = TAKE(1, READ), m = TAKE(2, WRITE), v = TAKE(3, WRITE);
  Adam a;
  if (arrays.refused || !scalars(args, 4, 7, &a.step_size) || !alike(&g, &w) ||
      !alike(&m, &w) || !alike(&v, &w) || overlap(&g, &w) || overlap(&m, &v))
    return finish(&arrays, 0);
  adam_step(w.data, g.data, m.data, v.data, w.size, a);
  return finish(&arrays, 1);
}

/* squares(g): the sum of squares as a float, or False */
METHOD(squares) {
  EXPECT(1);
  Array g = TAKE(0, READ);
  int fit = !arrays.refused && contiguous(&g);
  double total = fit ? square_sum(g.data, g.size) : 0;
  PyObject *done = finish(&arrays, fit);
  return fit ? PyFloat_FromDouble(total) : done;
}

static PyMethodDef methods[] = {
    {"matmul", matmul, METH_FASTCALL, "(a, b, out, bias, activation) -> done"},
    {"forward", forward, METH_FASTCALL, "(activation, v, y) -> done"},
    {"backward", backward, METH_FASTCALL, "(activation, dy, v or y, d) -> done"},
    {"softmax", softmax, METH_FASTCALL, "(x, y) -> done"},
    {"exp_rows", exp_rows, METH_FASTCALL, "(x, y, total) -> done"},
    {"norm", norm, METH_FASTCALL, "(x, w, b, epsilon, plain, rows, scale, y) -> done"},
    {"norm_backward", norm_backward, METH_FASTCALL,
     "(dy, rows, scale, w, plain, dx, dw, db) -> done"},
    {"convolve", py_convolve, METH_FASTCALL,
     "(x, w, y, kernel, stride, padding) -> done"},
    {"gather", gather, METH_FASTCALL,
     "(x, columns, None, kernel, stride, padding) -> done"},
    {"scatter", scatter, METH_FASTCALL,
     "(columns, x, None, kernel, stride, padding) -> done"},
    {"gru_forward", py_gru_forward, METH_FASTCALL, "(w, columns, gates) -> done"},
    {"gru_backward", py_gru_backward, METH_FASTCALL,
     "(w, columns, gates, dy, dv) -> done"},
    {"softmax_backward", softmax_backward, METH_FASTCALL, "(dy, y, dx) -> done"},
    {"lstm_forward", py_lstm_forward, METH_FASTCALL,
     "(w, columns, gates, cells, squashed) -> done"},
    {"lstm_backward", py_lstm_backward, METH_FASTCALL,
     "(w, gates, cells, squashed, dy, dv) -> done"},
    {"rnn_forward", py_rnn_forward, METH_FASTCALL, "(w, columns) -> done"},
    {"rnn_backward", py_rnn_backward, METH_FASTCALL, "(w_hh, columns, dy, dv) -> done"},
    {"sgd", sgd, METH_FASTCALL,
     "(w, g, m or None, rate, decay, momentum, nesterov) -> done"},
    {"adam", adam, METH_FASTCALL,
     "(w, g, m, v, step_size, root, beta1, beta2, epsilon, decay, shrink) -> done"},
    {"squares", squares, METH_FASTCALL, "(g) -> sum of squares, or False"},
    {0},
};

static PyModuleDef definition = {
    .references = 1, .name = "loom_kernels", .size = -1, .methods = methods};

static PyObject *create(void) { return PyModule_Create2(&definition, MODULE_API); }

__attribute__((visibility("default"))) PyObject *PyInit__simd(void) { return create(); }
__attribute__((visibility("default"))) PyObject *PyInit__relaxed(void) { return create(); }

#endif
