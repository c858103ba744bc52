/* out (M, N) = f(a (M, K) @ b (K, N) + bias), float32, any strides of a and b.
 *
 * The innermost tile is 6 rows by 8 columns: 12 sums, 2 vectors of b and a broadcast of
 * a fill the 16 vector registers of x86-64. Around it (Goto and van de Geijn 2008):
 *   - K in blocks of DEPTH, so that 8 columns of b stay in the first-level cache;
 *   - b packed into panels (K, 8), zero-padded, unless so few rows use it that packing
 *     costs more than it saves;
 *   - a packed into panels (K, 6), BLOCK rows at a time, unless its columns are
 *     contiguous and few columns of b meet it: then it is read where it lies. (Rows
 *     that are not packed cost six addresses and, where they lie 2^n apart, the cache.)
 * One row (a vector) has two kernels of its own: the time is that of reading b once.
 */
#include "gemm.h"

#include "elementwise.h"
#include "python.h"
#include "vector.h"

enum { TALL = 6, WIDE = 8, DEPTH = 512, BLOCK = 96, ACROSS = 512 };

/* One tile -------------------------------------------------------------------------- */

/* a's element (i, k): rows lie row_step apart, k's step apart; one of them is 1 or a
 * panel's. b's row k is 8 contiguous floats, b_step apart. */
#define TILE(NAME, ROWS, ROW_STEP, STEP) \
  static void NAME(int depth, const float *a, int a_step, const float *b, int b_step, \
                   float *out, int stride, int more) { \
    (void)a_step; \
    v4 sum[ROWS][2]; \
    _Pragma("unroll") for (int i = 0; i < ROWS; i++) { \
      sum[i][0] = more ? load(out + i * stride) : splat(0); \
      sum[i][1] = more ? load(out + i * stride + 4) : splat(0); \
    } \
    const float *row[ROWS]; \
    _Pragma("unroll") for (int i = 0; i < ROWS; i++) row[i] = a + i * (ROW_STEP); \
    int k = 0; \
    for (; k + 4 <= depth; k += 4) { \
      _Pragma("unroll") for (int u = 0; u < 4; u++) { \
        v4 left = load(b), right = load(b + 4); \
        b += b_step; \
        _Pragma("unroll") for (int i = 0; i < ROWS; i++) { \
          v4 x = wasm_v128_load32_splat(row[i] + u * (STEP)); \
          sum[i][0] = fma4(x, left, sum[i][0]); \
          sum[i][1] = fma4(x, right, sum[i][1]); \
        } \
      } \
      _Pragma("unroll") for (int i = 0; i < ROWS; i++) row[i] += 4 * (STEP); \
    } \
    for (; k < depth; k++) { \
      v4 left = load(b), right = load(b + 4); \
      b += b_step; \
      _Pragma("unroll") for (int i = 0; i < ROWS; i++) { \
        v4 x = wasm_v128_load32_splat(row[i]); \
        row[i] += (STEP); \
        sum[i][0] = fma4(x, left, sum[i][0]); \
        sum[i][1] = fma4(x, right, sum[i][1]); \
      } \
    } \
    _Pragma("unroll") for (int i = 0; i < ROWS; i++) { \
      store(out + i * stride, sum[i][0]); \
      store(out + i * stride + 4, sum[i][1]); \
    } \
  }

/* Contiguous along k: one address a row. Contiguous along i: one address for all. */
TILE(along_6, 6, a_step, 1)
TILE(along_4, 4, a_step, 1)
TILE(along_2, 2, a_step, 1)
TILE(along_1, 1, a_step, 1)
TILE(across_6, 6, 1, a_step)
TILE(across_4, 4, 1, a_step)
TILE(across_2, 2, 1, a_step)
TILE(across_1, 1, 1, a_step)
TILE(panel_6, 6, 1, 6)

typedef void Tile(int, const float *, int, const float *, int, float *, int, int);
static Tile *const along[7] = {0, along_1, along_2, along_2, along_4, along_4, along_6};
static Tile *const across[7] = {0,        across_1, across_2, across_2,
                                across_4, across_4, across_6};
static const int rows_done[7] = {0, 1, 2, 2, 4, 4, 6};

/* How a block of rows of a is read. */
typedef struct {
  const float *data;
  int row, step; /* from row to row, from k to k */
  int packed;    /* in panels of 6 rows; row is then that of a panel, over 6 */
} Side;

/* out (m, WIDE) with b's one panel; `n` < WIDE columns of it are wanted. */
static void panel(int m, int n, int depth, Side a, const float *b, int b_step,
                  float *out, int stride, int more) {
  float edge[TALL * WIDE];
  for (int i = 0; i < m;) {
    int left = m - i < TALL ? m - i : TALL;
    int rows = a.packed && left == TALL ? TALL : rows_done[left];
    const float *from = a.data;
    Tile *tile;
    int step = a.step;
    if (a.packed) {
      from += (i / TALL) * TALL * depth + i % TALL;
      tile = rows == TALL ? panel_6 : across[rows];
      step = TALL;
    } else {
      from += i * a.row;
      tile = a.step == 1 ? along[rows] : across[rows];
      if (a.step == 1) step = a.row;
    }
    float *to = out + i * stride;
    if (n == WIDE) {
      tile(depth, from, step, b, b_step, to, stride, more);
    } else {
      if (more)
        for (int r = 0; r < rows; r++)
          for (int c = 0; c < n; c++) edge[r * WIDE + c] = to[r * stride + c];
      tile(depth, from, step, b, b_step, edge, WIDE, more);
      for (int r = 0; r < rows; r++)
        for (int c = 0; c < n; c++) to[r * stride + c] = edge[r * WIDE + c];
    }
    i += rows;
  }
}

/* Packing ---------------------------------------------------------------------------- */

/* 4 x 4 values whose columns are contiguous, as rows. */
INLINE void transpose4(const float *from, int step, v4 row[4]) {
  v4 a = load(from), b = load(from + step);
  v4 c = load(from + 2 * step), d = load(from + 3 * step);
  v4 ab = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), cd = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5);
  row[0] = wasm_i32x4_shuffle(ab, cd, 0, 1, 4, 5);
  row[1] = wasm_i32x4_shuffle(ab, cd, 2, 3, 6, 7);
  ab = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7), cd = wasm_i32x4_shuffle(c, d, 2, 6, 3, 7);
  row[2] = wasm_i32x4_shuffle(ab, cd, 0, 1, 4, 5);
  row[3] = wasm_i32x4_shuffle(ab, cd, 2, 3, 6, 7);
}

/* 8 columns of b (n of them there, the rest zero), depth rows -> to (depth, 8). */
static void pack_panel(int n, int depth, const float *b, int rows, int columns,
                       float *to) {
  int k = 0;
  if (n == WIDE && columns == 1) {
    for (; k < depth; k++, to += WIDE, b += rows) {
      store(to, load(b));
      store(to + 4, load(b + 4));
    }
  } else if (n == WIDE && rows == 1) {
    for (; k + 4 <= depth; k += 4, to += 4 * WIDE, b += 4) {
      v4 left[4], right[4];
      transpose4(b, columns, left);
      transpose4(b + 4 * columns, columns, right);
      for (int i = 0; i < 4; i++) {
        store(to + i * WIDE, left[i]);
        store(to + i * WIDE + 4, right[i]);
      }
    }
  }
  for (; k < depth; k++, to += WIDE, b += rows)
    for (int j = 0; j < WIDE; j++) to[j] = j < n ? b[j * columns] : 0;
}

void pack_rows(int m, int k, Matrix a, float *to) {
  for (int i = 0; i < m; i += TALL, to += TALL * k) {
    int rows = m - i < TALL ? m - i : TALL;
    const float *from = a.data + i * a.rows;
    int at = 0;
    if (rows == TALL && a.columns == 1) {
      for (; at + 4 <= k; at += 4) {
        v4 row[4];
        transpose4(from + at, a.rows, row);
        const float *fifth = from + at + 4 * a.rows, *sixth = fifth + a.rows;
        for (int u = 0; u < 4; u++) {
          float *t = to + (at + u) * TALL;
          store(t, row[u]);
          t[4] = fifth[u];
          t[5] = sixth[u];
        }
      }
    }
    for (; at < k; at++)
      for (int r = 0; r < TALL; r++)
        to[at * TALL + r] = r < rows ? from[at * a.columns + r * a.rows] : 0;
  }
}

int packed_rows(int m, int k) { return (m + TALL - 1) / TALL * TALL * k; }

void gemm_packed(int m, int n, int k, const float *a, const float *b, int b_stride,
                 float *out, int stride) {
  Side side = {a, 0, 0, 1};
  for (int j = 0; j < n; j += WIDE) {
    if (j + WIDE <= n) {
      panel(m, WIDE, k, side, b + j, b_stride, out + j, stride, 0);
    } else {
      float *edge = workspace(k * WIDE);
      pack_panel(n - j, k, b + j, b_stride, 1, edge);
      panel(m, n - j, k, side, edge, WIDE, out + j, stride, 0);
    }
  }
}

float *workspace(int floats) {
  static float *room;
  static int size;
  if (floats > size) {
    free(room);
    room = malloc(sizeof(float) * (unsigned long)floats);
    size = room ? floats : 0;
  }
  return room;
}

/* One row ---------------------------------------------------------------------------- */

/* out (n) += a (k) @ b, b's rows contiguous: eight rows at a time, side by side. */
static void row_times_rows(int n, int k, const float *a, int a_step, const float *b,
                           int rows, float *out) {
  for (int at = 0; at < k; at += 8) {
    const float *row[8];
    v4 x[8];
    for (int u = 0; u < 8; u++) {
      int there = at + u < k;
      x[u] = splat(there ? a[(at + u) * a_step] : 0);
      row[u] = b + (there ? at + u : at) * rows;
    }
    int last = k - at < 8 ? k - at : 8, j = 0;
    if (last == 8) {
      for (; j + 4 <= n; j += 4) {
        v4 even = load(out + j), odd = mul(x[1], load(row[1] + j));
        even = fma4(x[0], load(row[0] + j), even);
        _Pragma("unroll") for (int u = 2; u < 8; u += 2) {
          even = fma4(x[u], load(row[u] + j), even);
          odd = fma4(x[u + 1], load(row[u + 1] + j), odd);
        }
        store(out + j, add(even, odd));
      }
    }
    for (int u = 0; u < last; u++) {
      float value = a[(at + u) * a_step];
      int i = j;
      for (; i + 4 <= n; i += 4)
        store(out + i, fma4(x[u], load(row[u] + i), load(out + i)));
      for (; i < n; i++) out[i] += value * row[u][i];
    }
  }
}

/* out (n) += a (k) @ b, b's columns contiguous: four dot products at a time. */
static void row_times_columns(int n, int k, const float *a, const float *b, int columns,
                              float *out) {
  for (int j = 0; j < n; j += 4) {
    int count = n - j < 4 ? n - j : 4;
    const float *column[4];
    v4 sum[4];
    for (int c = 0; c < 4; c++) {
      column[c] = b + (j + (c < count ? c : 0)) * columns;
      sum[c] = splat(0);
    }
    int i = 0;
    for (; i + 4 <= k; i += 4) {
      v4 x = load(a + i);
      _Pragma("unroll") for (int c = 0; c < 4; c++)
        sum[c] = fma4(x, load(column[c] + i), sum[c]);
    }
    for (int c = 0; c < count; c++) {
      float total = sum4(sum[c]);
      for (int rest = i; rest < k; rest++) total += a[rest] * column[c][rest];
      out[j + c] += total;
    }
  }
}

static int one_row(int n, int k, Matrix a, Matrix b, float *out, int more) {
  if (b.columns != 1 && (b.rows != 1 || a.columns != 1)) return 0;
  if (!more)
    for (int j = 0; j < n; j++) out[j] = 0;
  if (b.columns == 1) row_times_rows(n, k, a.data, a.columns, b.data, b.rows, out);
  else row_times_columns(n, k, a.data, b.data, b.columns, out);
  return 1;
}

/* The whole -------------------------------------------------------------------------- */

static int smaller(int a, int b) { return a < b ? a : b; }

static void finish_rows(int m, int n, float *out, int stride, Finish finish) {
  if (finish.bias || finish.activation != LINEAR)
    for (int i = 0; i < m; i++)
      activate(finish.activation, out + i * stride, finish.bias, out + i * stride, n);
}

int gemm(int m, int n, int k, Matrix a, Matrix b, float *out, int stride, int more,
         Finish finish) {
  if (m <= 0 || n <= 0) return 1;
  if (m == 1 && one_row(n, k, a, b, out, more)) {
    finish_rows(1, n, out, n, finish);
    return 1;
  }
  if (n == 1 && stride == 1 && !finish.bias) {
    Matrix left = {b.data, b.columns, b.rows}, right = {a.data, a.columns, a.rows};
    if (one_row(m, k, left, right, out, more)) {
      finish_rows(1, m, out, m, finish);
      return 1;
    }
  }
  int regular = a.columns == 1 || a.rows == 1;
  int pack_a = !regular || n >= 64 || (a.columns == 1 && n > WIDE);
  int pack_b = b.columns != 1 || m > 4 * TALL;
  int depth = smaller(k, DEPTH), across = smaller(n, ACROSS);
  int b_room = pack_b ? (across + WIDE - 1) / WIDE * WIDE * depth : depth * WIDE;
  float *room = workspace(b_room + (pack_a ? packed_rows(BLOCK, depth) : 0));
  if (!room) return 0;
  float *a_packed = room + b_room;
  for (int j = 0; j < n; j += ACROSS) {
    int columns = smaller(n - j, ACROSS);
    for (int at = 0; at < k || at == 0; at += DEPTH) {
      int part = smaller(k - at, DEPTH), add_to = more || at;
      const float *b_from = b.data + at * b.rows + j * b.columns;
      if (pack_b)
        for (int p = 0; p < columns; p += WIDE)
          pack_panel(smaller(columns - p, WIDE), part, b_from + p * b.columns, b.rows,
                     b.columns, room + p * part);
      for (int i = 0; i < m; i += BLOCK) {
        int rows = smaller(m - i, BLOCK);
        Matrix block = {a.data + i * a.rows + at * a.columns, a.rows, a.columns};
        Side side = {block.data, a.rows, a.columns, 0};
        if (pack_a) {
          pack_rows(rows, part, block, a_packed);
          side = (Side){a_packed, 0, 0, 1};
        }
        float *to = out + i * stride + j;
        for (int p = 0; p < columns; p += WIDE) {
          int wide = smaller(columns - p, WIDE), step = WIDE;
          const float *from = room + p * part;
          if (!pack_b && wide == WIDE) {
            from = b_from + p;
            step = b.rows;
          } else if (!pack_b) {
            from = room;
            pack_panel(wide, part, b_from + p, b.rows, 1, room);
          }
          panel(rows, wide, part, side, from, step, to + p, stride, add_to);
        }
        if (at + DEPTH >= k) {
          Finish here = {finish.bias ? finish.bias + j : 0, finish.activation};
          finish_rows(rows, columns, to, stride, here);
        }
      }
    }
  }
  return 1;
}
