/* The kernels without Python, for `loom export web`: pointers into one memory.
 *
 * Every function works on a batch of samples; what a layer computes stands in its Python
 * file. All give 0 when memory ran out. */
#ifdef LOOM_STANDALONE

#include "convolution.h"
#include "elementwise.h"
#include "gemm.h"
#include "norm.h"
#include "python.h"
#include "recurrent.h"
#include "softmax.h"

enum { SOFTMAX = 9 }; /* as in loom/activations.py */

#define EXPORT(name) __attribute__((export_name(#name)))

/* Memory ------------------------------------------------------------------------------ */

/* Freed blocks are kept by size and given out again; a model asks for the same sizes
 * each time, so memory stops to grow after its first prediction. */
typedef struct Block {
  unsigned long size;
  struct Block *next;
  unsigned long pad[2]; /* what follows is aligned to 16 bytes */
} Block;

enum { PAGE = 65536 };
extern unsigned char __heap_base;
static Block *unused;
static unsigned long top;

void *malloc(unsigned long size) {
  size = (size + 15) & ~15ul;
  for (Block **link = &unused; *link; link = &(*link)->next)
    if ((*link)->size == size) {
      Block *found = *link;
      *link = found->next;
      return found + 1;
    }
  if (!top) top = ((unsigned long)&__heap_base + 15) & ~15ul;
  unsigned long end = top + sizeof(Block) + size;
  unsigned long there = __builtin_wasm_memory_size(0) * PAGE;
  if (end > there &&
      __builtin_wasm_memory_grow(0, (end - there + PAGE - 1) / PAGE) == ~0ul)
    return 0;
  Block *block = (Block *)top;
  block->size = size;
  top = end;
  return block + 1;
}

void free(void *given) {
  if (!given) return;
  Block *block = (Block *)given - 1;
  block->next = unused;
  unused = block;
}

EXPORT(reserve) float *reserve(int floats) {
  return malloc(sizeof(float) * (unsigned long)(floats + 8));
}

EXPORT(release) void release(float *given) { free(given); }

/* Layers ------------------------------------------------------------------------------- */

EXPORT(affine)
int affine(int m, int n, int k, const float *x, const float *w, const float *b,
           int activation, float *y) {
  Finish finish = {b, activation};
  return gemm(m, n, k, (Matrix){x, k, 1}, (Matrix){w, n, 1}, y, n, 0, finish);
}

EXPORT(elementwise) int elementwise(int code, const float *x, float *y, int n) {
  activate(code, x, 0, y, n);
  return 1;
}

/* Along the middle axis of x (outer, n, inner), after scaling. */
EXPORT(softmax)
int softmax(int outer, int n, int inner, float scale, const float *x, float *y) {
  float *row = malloc(sizeof(float) * (unsigned long)n);
  if (!row) return 0;
  for (int o = 0; o < outer; o++, x += n * inner, y += n * inner)
    for (int i = 0; i < inner; i++) {
      float most = x[i];
      for (int j = 1; j < n; j++)
        if (x[j * inner + i] > most) most = x[j * inner + i];
      for (int j = 0; j < n; j++) row[j] = (x[j * inner + i] - most) * scale;
      softmax_row(row, row, n);
      for (int j = 0; j < n; j++) y[j * inner + i] = row[j];
    }
  free(row);
  return 1;
}

EXPORT(add) int add_arrays(const float *a, const float *b, float *y, int n) {
  for (int i = 0; i < n; i++) y[i] = a[i] + b[i];
  return 1;
}

/* y = x + a, the same n values for each sample. */
EXPORT(add_same) int add_same(int batch, int n, const float *x, const float *a, float *y) {
  for (int b = 0; b < batch; b++) add_arrays(x + b * n, a, y + b * n, n);
  return 1;
}

/* y = x factor + shift of its channel; x (outer, channels, inner). */
EXPORT(scale)
int scale(int outer, int channels, int inner, const float *x, const float *factor,
          const float *shift, float *y) {
  for (int o = 0; o < outer; o++)
    for (int c = 0; c < channels; c++)
      for (int i = 0; i < inner; i++, x++, y++) *y = *x * factor[c] + shift[c];
  return 1;
}

EXPORT(norm)
int norm(int rows, int n, const float *x, const float *w, const float *b, float epsilon,
         int plain, float *y) {
  float *scratch = malloc(sizeof(float) * (unsigned long)(n + 1));
  if (!scratch) return 0;
  for (int i = 0; i < rows; i++)
    norm_row(x + i * n, w, b, epsilon, plain, scratch, scratch + n, y + i * n, n);
  free(scratch);
  return 1;
}

EXPORT(convolution)
int convolution(int samples, int channels, int height, int width, int kernel, int stride,
                int padding, int filters, const float *x, const float *w, int activation,
                float *y) {
  Images g = {samples, channels, height, width, kernel, stride, padding, 0, 0};
  g.out_height = (height + 2 * padding - kernel) / stride + 1;
  g.out_width = (width + 2 * padding - kernel) / stride + 1;
  if (!convolve(g, filters, x, w, y)) return 0;
  activate(activation, y, 0, y, samples * filters * g.out_height * g.out_width);
  return 1;
}

/* Sequences x (B, T, C), w (K C + 1, F), the bias last -> y (B, OT, F). A window's values
 * are contiguous, and the next window lies `stride` steps on: one product a sample. */
EXPORT(sequence)
int sequence(int batch, int steps, int channels, int kernel, int stride, int before,
             int after, int filters, const float *x, const float *w, int activation,
             float *y) {
  int length = steps + before + after, depth = kernel * channels;
  int places = (length - kernel) / stride + 1, done = 1;
  float *padded = malloc(sizeof(float) * (unsigned long)(length * channels));
  if (!padded) return 0;
  for (int i = 0; i < length * channels; i++) padded[i] = 0;
  for (int b = 0; b < batch && done; b++) {
    for (int i = 0; i < steps * channels; i++)
      padded[before * channels + i] = x[b * steps * channels + i];
    Finish finish = {w + depth * filters, activation};
    done = gemm(places, filters, depth, (Matrix){padded, stride * channels, 1},
                (Matrix){w, filters, 1}, y + b * places * filters, filters, 0, finish);
  }
  free(padded);
  return done;
}

/* The greatest value of each window, or with `mean` its mean, padding counted as zero;
 * x (planes, height, width). */
EXPORT(pool)
int pool(int planes, int height, int width, int kernel_h, int kernel_w, int stride_h,
         int stride_w, int padding_h, int padding_w, int mean, const float *x, float *y) {
  int rows = (height + 2 * padding_h - kernel_h) / stride_h + 1;
  int columns = (width + 2 * padding_w - kernel_w) / stride_w + 1;
  for (int p = 0; p < planes; p++, x += height * width)
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < columns; c++) {
        float total = 0, best = -__builtin_inff();
        for (int i = 0; i < kernel_h; i++)
          for (int j = 0; j < kernel_w; j++) {
            int h = r * stride_h + i - padding_h, w = c * stride_w + j - padding_w;
            if (h < 0 || w < 0 || h >= height || w >= width) continue;
            float value = x[h * width + w];
            total += value;
            if (!(value <= best)) best = value;
          }
        *y++ = mean ? total / (float)(kernel_h * kernel_w) : best;
      }
  return 1;
}

/* y = the rows of w that x names; 0 also for a token that is none. */
EXPORT(embedding)
int embedding(int tokens, int rows, int n, const float *x, const float *w, float *y) {
  for (int i = 0; i < tokens; i++) {
    int row = (int)x[i];
    if (!(x[i] >= 0) || row >= rows || (float)row != x[i]) return 0;
    for (int j = 0; j < n; j++) y[i * n + j] = w[row * n + j];
  }
  return 1;
}

/* 0 RNN, 1 LSTM, 2 GRU. x (B, T, C) -> y (B, T, H), or the last (B, H). */
EXPORT(recurrent)
int recurrent(int kind, int batch, int steps, int inputs, int hidden, int all,
              const float *x, const float *w, float *y) {
  int rows = hidden + 1 + inputs, size = rows * batch, state = hidden * batch;
  Extent e = {steps, hidden, rows, batch};
  unsigned long floats = (steps + 1) * size + (kind ? steps * 4 * state : 0) +
                         (kind == 1 ? (2 * steps + 1) * state : 0);
  float *columns = malloc(sizeof(float) * floats);
  if (!columns) return 0;
  float *gates = columns + (steps + 1) * size, *cells = gates + steps * 4 * state;
  for (int i = 0; i < state; i++) columns[i] = 0;
  if (kind == 1)
    for (int i = 0; i < state; i++) cells[i] = 0;
  for (int t = 0; t <= steps; t++)
    for (int b = 0; b < batch; b++) {
      columns[t * size + hidden * batch + b] = 1;
      for (int c = 0; c < inputs && t < steps; c++)
        columns[t * size + (hidden + 1 + c) * batch + b] = x[(b * steps + t) * inputs + c];
    }
  int done = kind == 0   ? rnn_forward(e, w, columns)
             : kind == 1 ? lstm_forward(e, w, columns, gates, cells,
                                        cells + (steps + 1) * state)
                         : gru_forward(e, w, columns, gates);
  for (int b = 0; b < batch; b++)
    for (int t = all ? 1 : steps; t <= steps; t++)
      for (int h = 0; h < hidden; h++) *y++ = columns[t * size + h * batch + b];
  free(columns);
  return done;
}

/* QRNN: gates z, f, o by a causal convolution, c = f c + (1 - f) z, y = o c.
 * x (B, T, C), w (K C + 1, 3 H) as for `sequence` -> y (B, T, H), or the last (B, H). */
EXPORT(qrnn)
int qrnn(int batch, int steps, int inputs, int kernel, int hidden, int all, const float *x,
         const float *w, float *y) {
  int rows = batch * steps, wide = 3 * hidden;
  float *gates = malloc(sizeof(float) * (unsigned long)(rows * wide + hidden));
  if (!gates) return 0;
  float *c = gates + rows * wide, *row = gates;
  int done = sequence(batch, steps, inputs, kernel, 1, kernel - 1, 0, wide, x, w, LINEAR,
                      gates);
  for (int b = 0; b < batch && done; b++)
    for (int t = 0; t < steps; t++, row += wide) {
      const float *z = row, *f = row + hidden, *o = f + hidden;
      activate(TANH, row, 0, row, hidden);
      activate(SIGMOID, f, 0, row + hidden, 2 * hidden);
      for (int h = 0; h < hidden; h++) {
        c[h] = (t ? f[h] * c[h] : 0) + (z[h] - f[h] * z[h]);
        if (all || t + 1 == steps) *y++ = o[h] * c[h];
      }
    }
  free(gates);
  return done;
}

/* SRU: c = f c + (1 - f) z, y = r g(c) + (1 - r) p, where p is x itself or a product of it.
 * x (B, T, C), w (C, 3 H or 4 H) in the order z, f, r, p, b as wide. */
EXPORT(sru)
int sru(int batch, int steps, int inputs, int hidden, int all, int activation,
        const float *x, const float *w, const float *b, float *y) {
  int rows = batch * steps, wide = (inputs == hidden ? 3 : 4) * hidden;
  float *gates = malloc(sizeof(float) * (unsigned long)(rows * wide + 2 * hidden));
  if (!gates) return 0;
  float *c = gates + rows * wide, *g = c + hidden, *row = gates;
  int done = affine(rows, wide, inputs, x, w, b, LINEAR, gates);
  for (int i = 0; i < batch && done; i++)
    for (int t = 0; t < steps; t++, row += wide, x += inputs) {
      const float *z = row, *f = row + hidden, *r = f + hidden;
      const float *p = inputs == hidden ? x : r + hidden;
      activate(SIGMOID, f, 0, row + hidden, 2 * hidden);
      for (int h = 0; h < hidden; h++) c[h] = (t ? f[h] * c[h] : 0) + (z[h] - f[h] * z[h]);
      if (!all && t + 1 < steps) continue;
      if (activation == SOFTMAX) softmax_row(c, g, hidden);
      else activate(activation, c, 0, g, hidden);
      for (int h = 0; h < hidden; h++) *y++ = (g[h] - p[h]) * r[h] + p[h];
    }
  free(gates);
  return done;
}

/* Turn each pair (x[i], x[i + d/2]) of a head by the angle of its step. */
static void rotate(float *x, int d, const float *cosine, const float *sine) {
  for (int i = 0, half = d / 2; i < half; i++) {
    float a = x[i], b = x[i + half];
    x[i] = a * cosine[i] - b * sine[i];
    x[i + half] = b * cosine[i] + a * sine[i];
  }
}

/* Multi-head attention: qkv_w (D, 3 D), out_w (D, D), x and y (B, T, D). angles is null,
 * or what turns queries and keys: cosines (T, d / 2), then sines. */
EXPORT(attention)
int attention(int batch, int steps, int width, int heads, int causal, const float *x,
              const float *angles, const float *qkv_w, const float *qkv_b, const float *out_w,
              const float *out_b, int activation, float *y) {
  int rows = batch * steps, d = width / heads, wide = 3 * width, done = 1;
  float *qkv = malloc(sizeof(float) * (unsigned long)(rows * wide));
  float *context = malloc(sizeof(float) * (unsigned long)(rows * width));
  float *scores = malloc(sizeof(float) * (unsigned long)(steps * steps));
  Finish none = {0, LINEAR};
  done = qkv && context && scores && affine(rows, wide, width, x, qkv_w, qkv_b, LINEAR, qkv);
  float factor = 1 / __builtin_sqrtf((float)d);
  for (int i = 0; i < rows && done; i++)
    for (int j = 0; j < width; j++) qkv[i * wide + j] *= factor;
  for (int i = 0; i < rows && done && angles; i++)
    for (int j = 0; j < 2 * heads; j++) {
      const float *cosine = angles + i % steps * (d / 2);
      rotate(qkv + i * wide + j * d, d, cosine, cosine + steps * (d / 2));
    }
  for (int b = 0; b < batch && done; b++)
    for (int h = 0; h < heads && done; h++) {
      const float *q = qkv + b * steps * wide + h * d, *k = q + width, *v = k + width;
      done = gemm(steps, steps, d, (Matrix){q, wide, 1}, (Matrix){k, 1, wide}, scores, steps,
                  0, none);
      for (int t = 0; t < steps; t++) {
        float *row = scores + t * steps;
        int seen = causal ? t + 1 : steps;
        softmax_row(row, row, seen);
        for (int i = seen; i < steps; i++) row[i] = 0;
      }
      done = done && gemm(steps, d, steps, (Matrix){scores, steps, 1}, (Matrix){v, wide, 1},
                          context + b * steps * width + h * d, width, 0, none);
    }
  done = done && affine(rows, width, width, context, out_w, out_b, activation, y);
  free(scores);
  free(context);
  free(qkv);
  return done;
}

#endif
