// Numbers as pixels: grey values, weights, class probabilities, in the page's colours.

/** Where a colour that CSS names is turned into numbers. */
const scratch = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

/** @returns {[number, number, number]} of a custom property such as --indigo */
export function rgb(name, element = document.documentElement) {
  // light-dark() and color-mix() are resolved by a real property only.
  const probe = document.createElement("i");
  probe.hidden = true;
  probe.style.color = `var(${name})`;
  element.append(probe);
  scratch.fillStyle = getComputedStyle(probe).color;
  probe.remove();
  scratch.fillRect(0, 0, 1, 1);
  return [...scratch.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

const mix = (a, b, share) => a + (b - a) * share;

/** Fill a canvas of `width` x `height` pixels; `paint(i)` gives [r, g, b] of pixel i. */
function fill(canvas, width, height, paint) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = paint(i);
    image.data.set([r, g, b, 255], 4 * i);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The page's colours for pictures, read once for many. */
export function palette() {
  const [paper, ink, low, high] = ["--sunk", "--ink", "--madder", "--indigo"].map((name) =>
    rgb(name),
  );
  const classes = [1, 2, 3, 4, 5, 6].map((number) => rgb(`--class-${number}`));
  return { paper, ink, low, high, classes };
}

/** Values 0 to 1, paper to ink. */
export function grey(canvas, values, width, height, { paper, ink }) {
  fill(canvas, width, height, (i) => {
    const share = Math.min(1, Math.max(0, values[i]));
    return paper.map((part, channel) => mix(part, ink[channel], share));
  });
}

/** Values -bound to bound: madder, paper, indigo. */
export function diverging(canvas, values, width, height, bound, { paper, low, high }) {
  fill(canvas, width, height, (i) => {
    const share = bound > 0 ? Math.min(1, Math.abs(values[i]) / bound) : 0;
    const end = values[i] < 0 ? low : high;
    return paper.map((part, channel) => mix(part, end[channel], share));
  });
}

/** Class probabilities (height, width, K): each class's colour, by its share. */
export function shares(canvas, values, width, height, kinds, { paper, classes }) {
  fill(canvas, width, height, (i) => {
    const colour = [0, 0, 0];
    for (let kind = 0; kind < kinds; kind++) {
      const share = values[i * kinds + kind];
      for (let channel = 0; channel < 3; channel++) {
        colour[channel] += share * classes[kind][channel];
      }
    }
    return colour.map((part, channel) => mix(paper[channel], part, 0.62));
  });
}
