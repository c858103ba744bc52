#ifndef LOOM_GEMM_H
#define LOOM_GEMM_H

/* A matrix of any strides (in floats): element (i, j) is at data[i rows + j columns]. */
typedef struct {
  const float *data;
  int rows, columns; /* strides */
} Matrix;

/* What happens to a finished product: + bias (per column, or null), then f. */
typedef struct {
  const float *bias;
  int activation;
} Finish;

/* out (m, n), rows `stride` apart = f(a (m, k) @ b (k, n) + bias), or with `more`
 * out += a @ b. 0 when memory ran out. */
int gemm(int m, int n, int k, Matrix a, Matrix b, float *out, int stride, int more,
         Finish finish);

/* Room for packed data, kept between calls; null when memory ran out. */
float *workspace(int floats);

/* A matrix rearranged once for many products: (m, k) in panels of 6 rows. */
void pack_rows(int m, int k, Matrix a, float *to);
int packed_rows(int m, int k);
/* out = a @ b with packed a; b has rows of contiguous values, n a multiple of 4. */
void gemm_packed(int m, int n, int k, const float *a, const float *b, int b_stride,
                 float *out, int stride);

#endif
