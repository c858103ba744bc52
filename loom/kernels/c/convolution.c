/* Convolution without a matrix of windows: eight places of a window at a time are
 * gathered into one panel (C K K + 1, 8), which stays in the first-level cache, and met
 * by the packed weights. Backward still wants the matrix: gather and scatter make it. */
#include "convolution.h"

#include "gemm.h"
#include "python.h"
#include "vector.h"

enum { LANES = 8 };

typedef struct {
  int height, width, plane; /* of the padded image */
  int taps;                 /* C K K */
  int *offset;              /* of each tap in the padded image */
  float *image;             /* (C, height, width); the border is zero */
} Padded;

static int begin(Padded *p, Images g) {
  p->height = g.height + 2 * g.padding;
  p->width = g.width + 2 * g.padding;
  p->plane = p->height * p->width;
  p->taps = g.channels * g.kernel * g.kernel;
  int values = g.channels * p->plane;
  p->image = malloc(sizeof(float) * (unsigned long)(values + p->taps));
  if (!p->image) return 0;
  p->offset = (int *)(p->image + values);
  int *offset = p->offset;
  for (int c = 0; c < g.channels; c++)
    for (int j = 0; j < g.kernel; j++)
      for (int i = 0; i < g.kernel; i++) *offset++ = c * p->plane + i * p->width + j;
  for (int i = 0; i < values; i++) p->image[i] = 0;
  return 1;
}

INLINE void copy(const float *from, float *to, int n) {
  int i = 0;
  for (; i + 4 <= n; i += 4) store(to + i, load(from + i));
  for (; i < n; i++) to[i] = from[i];
}

/* One sample's rows into the padded image, or back. */
static void inside(Padded *p, Images g, float *x, int back) {
  for (int c = 0; c < g.channels; c++)
    for (int h = 0; h < g.height; h++) {
      float *row = p->image + c * p->plane + (h + g.padding) * p->width + g.padding;
      float *own = x + (c * g.height + h) * g.width;
      if (back) copy(row, own, g.width);
      else copy(own, row, g.width);
    }
}

/* The windows at `lanes` places from `place` on, as columns of a panel (taps, 8). */
static void gather_panel(const Padded *p, Images g, int place, int lanes, float *panel) {
  int base[LANES];
  for (int l = 0; l < LANES; l++) {
    int at = place + (l < lanes ? l : 0);
    base[l] = (at / g.out_width * p->width + at % g.out_width) * g.stride;
  }
  if (lanes == LANES && base[LANES - 1] == base[0] + LANES - 1) {
    for (int t = 0; t < p->taps; t++, panel += LANES) {
      const float *from = p->image + p->offset[t] + base[0];
      store(panel, load(from));
      store(panel + 4, load(from + 4));
    }
    return;
  }
  for (int t = 0; t < p->taps; t++, panel += LANES)
    for (int l = 0; l < LANES; l++) panel[l] = p->image[p->offset[t] + base[l]];
}

int convolve(Images g, int filters, const float *x, const float *w, float *y) {
  Padded p;
  if (!begin(&p, g)) return 0;
  int depth = p.taps + 1, places = g.out_height * g.out_width;
  int packed = packed_rows(filters, depth);
  float *weights = malloc(sizeof(float) * (unsigned long)(packed + depth * LANES));
  if (weights) {
    pack_rows(filters, depth, (Matrix){w, depth, 1}, weights);
    float *panel = weights + packed;
    for (int l = 0; l < LANES; l++) panel[p.taps * LANES + l] = 1;
    for (int n = 0; n < g.samples; n++) {
      inside(&p, g, (float *)x + n * g.channels * g.height * g.width, 0);
      float *out = y + n * filters * places;
      for (int at = 0; at < places; at += LANES) {
        int lanes = places - at < LANES ? places - at : LANES;
        gather_panel(&p, g, at, lanes, panel);
        gemm_packed(filters, lanes, depth, weights, panel, LANES, out + at, places);
      }
    }
  }
  free(weights);
  free(p.image);
  return weights != 0;
}

/* The rows of one sample's windows: columns, or with `back` summed into the image. */
static void rows(const Padded *p, Images g, int n, float *columns, int back) {
  int places = g.out_height * g.out_width;
  for (int t = 0; t < p->taps; t++)
    for (int h = 0; h < g.out_height; h++) {
      float *image = p->image + p->offset[t] + h * g.stride * p->width;
      float *row = columns + (t * g.samples + n) * places + h * g.out_width;
      int i = 0;
      if (back) {
        if (g.stride == 1)
          for (; i + 4 <= g.out_width; i += 4)
            store(image + i, add(load(image + i), load(row + i)));
        for (; i < g.out_width; i++) image[i * g.stride] += row[i];
      } else {
        if (g.stride == 1)
          for (; i + 4 <= g.out_width; i += 4) store(row + i, load(image + i));
        for (; i < g.out_width; i++) row[i] = image[i * g.stride];
      }
    }
}

int gather_windows(Images g, const float *x, float *columns) {
  Padded p;
  if (!begin(&p, g)) return 0;
  for (int n = 0; n < g.samples; n++) {
    inside(&p, g, (float *)x + n * g.channels * g.height * g.width, 0);
    rows(&p, g, n, columns, 0);
  }
  free(p.image);
  return 1;
}

int scatter_windows(Images g, const float *columns, float *x) {
  Padded p;
  if (!begin(&p, g)) return 0;
  for (int n = 0; n < g.samples; n++) {
    for (int i = 0; i < g.channels * p.plane; i++) p.image[i] = 0;
    rows(&p, g, n, (float *)columns, 1);
    inside(&p, g, x + n * g.channels * g.height * g.width, 1);
  }
  free(p.image);
  return 1;
}
