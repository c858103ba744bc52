#ifndef LOOM_SOFTMAX_H
#define LOOM_SOFTMAX_H

/* y = exp(x - max x); the sum of y. */
float exp_row(const float *x, float *y, int n);
void softmax_row(const float *x, float *y, int n);
void softmax_row_backward(const float *dy, const float *y, float *dx, int n);

#endif
