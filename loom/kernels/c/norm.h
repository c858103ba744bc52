#ifndef LOOM_NORM_H
#define LOOM_NORM_H

/* Row by row of n > 0 values, mean and variance in two passes:
 * rows = (x - mean) scale, scale = 1 / sqrt(var + epsilon), y = rows w + b. With `plain`
 * (RMSNorm) the mean stays, scale = 1 / sqrt(mean(x^2) + epsilon), y = x scale w. */
void norm_row(const float *x, const float *w, const float *b, float epsilon, int plain,
              float *rows, float *scale, float *y, int n);
/* dx = (g - mean(g) - rows mean(g rows)) scale, g = dy w; `plain` leaves mean(g) out;
 * dw += dy rows, db += dy (db may be null). */
void norm_row_backward(const float *dy, const float *rows, float scale, const float *w,
                       int plain, float *dx, float *dw, float *db, int n);

#endif
