#ifndef LOOM_RECURRENT_H
#define LOOM_RECURRENT_H

#include "gemm.h"

/* Steps T, hidden H, rows K of a column ([h; 1; x]), batch B. */
typedef struct {
  int steps, hidden, rows, batch;
} Extent;

/* All steps of loom/layers/lstm.py; 0 when memory ran out. Gates in the order o, i, f, g.
 * w (4 H, K), columns (T + 1, K, B), gates (T, 4 H, B), cells (T + 1, H, B) with the
 * first given, squashed (T, H, B). */
int lstm_forward(Extent e, const float *w, float *columns, float *gates, float *cells,
                 float *squashed);
/* dy (T, H, B) -> dv (4 H, T, B); w's first H columns meet the state. */
int lstm_backward(Extent e, const float *w, const float *gates, const float *cells,
                  const float *squashed, const float *dy, float *dv);
/* All steps of loom/layers/gru.py: w (4 H, K), gates (T, 4 H, B) in the order r, z, n's
 * part of h, n. */
int gru_forward(Extent e, const float *w, float *columns, float *gates);
/* dy (T, H, B) -> dv (4 H, T, B). */
int gru_backward(Extent e, const float *w, const float *columns, const float *gates,
                 const float *dy, float *dv);
/* All steps of loom/layers/rnn.py: w (H, K), columns (T + 1, K, B). */
int rnn_forward(Extent e, const float *w, float *columns);
/* dy (T, H, B) -> dv (H, T, B); w is W_hh transposed. */
int rnn_backward(Extent e, Matrix w, const float *columns, const float *dy, float *dv);

#endif
