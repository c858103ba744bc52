#ifndef LOOM_CONVOLUTION_H
#define LOOM_CONVOLUTION_H

/* Images (n, C, H, W), square windows of `kernel`, and the (OH, OW) places of a window. */
typedef struct {
  int samples, channels, height, width, kernel, stride, padding, out_height, out_width;
} Images;

/* A window's taps are ordered (c, j, i): j along the width, i along the height, as in
 * ImageWindows of loom/linalg.py. All give 0 when memory ran out. */

/* y (n, F, OH, OW) = w (F, C K K + 1) over the windows of x; the last of w is the bias. */
int convolve(Images g, int filters, const float *x, const float *w, float *y);
/* columns (C K K, n, OH OW) = the windows of x. */
int gather_windows(Images g, const float *x, float *columns);
/* x (n, C, H, W) = for each value the sum over the windows that it is in. */
int scatter_windows(Images g, const float *columns, float *x);

#endif
