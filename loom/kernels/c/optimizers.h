#ifndef LOOM_OPTIMIZERS_H
#define LOOM_OPTIMIZERS_H

/* The scalars of a step, in the order in which Python gives them. Double, since 1 - beta2
 * of a float has lost half its digits. */
typedef struct {
  double rate, decay, momentum, nesterov;
} SGD;

typedef struct {
  double step_size, root, beta1, beta2, epsilon, decay, shrink;
} Adam;

/* g += decay w; m = momentum m + g; w -= rate m, or rate (g + momentum m). m may be null. */
void sgd_step(float *w, const float *g, float *m, int n, SGD s);
/* w *= shrink; g += decay w; m += (1 - beta1)(g - m); v = beta2 v + (1 - beta2) g^2;
 * w -= step_size m / (sqrt(v) / root + epsilon) */
void adam_step(float *w, const float *g, float *m, float *v, int n, Adam a);
/* The sum of squares, in double precision. */
double square_sum(const float *g, int n);

#endif
