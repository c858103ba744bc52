#ifndef LOOM_ELEMENTWISE_H
#define LOOM_ELEMENTWISE_H

/* Codes: 0 to 8 as in loom/activations.py (9, softmax, is no element-wise function);
 * EXP stands beside them. */
enum {
  SCALED_RELU, SIGMOID, TANH, SOFTPLUS, LEAKY_RELU, LINEAR, RELU, GELU, SILU,
  ACTIVATION_COUNT, EXP = 100
};

/* y = f(x + b) for n values; b may be null, y may be x. */
void activate(int code, const float *x, const float *b, float *y, int n);
/* d = dy f'; s is what f' reads: y for the codes 0, 1, 2, 4, 5, 6, else the argument. */
void activate_backward(int code, const float *dy, const float *s, float *d, int n);

#endif
