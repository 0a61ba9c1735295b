/**
 * Resizes and crops an image exactly as `ghostnet.data.transforms.Preprocess.crop` does. A canvas
 * resizes differently, so Pillow's filter is implemented here.
 */

/** Coefficients are multiples of 2^-22, as in Pillow's 8-bit resampling. */
const PRECISION_BITS = 22;

/** Radius of the bicubic filter, in pixels of the smaller image. */
const SUPPORT = 2;

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

function roundHalfToEven(x) {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** The input pixels under output pixel `index` and their weights: {first, weights}. */
function taps(inputSize, outputSize, index) {
  const scale = inputSize / outputSize;
  const stretch = Math.max(scale, 1);
  const center = (index + 0.5) * scale;
  const first = Math.max(0, Math.trunc(center - SUPPORT * stretch + 0.5));
  const end = Math.min(inputSize, Math.trunc(center + SUPPORT * stretch + 0.5));
  const weights = [];
  for (let x = first; x < end; x++) weights.push(bicubic((x - center + 0.5) / stretch));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const whole = (weight) => {
    const scaled = (weight / sum) * 2 ** PRECISION_BITS;
    return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  };
  return { first, weights: weights.map(whole) };
}

/**
 * Resizes every row to `size` pixels, keeps `count` of them from `start`, and turns rows into
 * columns: two calls resize both sides of an image.
 *
 * @param {{data: Uint8ClampedArray, width: number, height: number, channels: number}} input
 * @param {{size: number, start: number, count: number}} wanted
 * @returns an image of the same kind, RGB, `count` pixels high and as wide as the input was high.
 */
function resizeAndTranspose({ data, width, height, channels }, { size, start, count }) {
  const output = new Uint8ClampedArray(count * height * 3);
  let target = 0;
  for (let index = start; index < start + count; index++) {
    const { first, weights } = taps(width, size, index);
    for (let row = 0; row < height; row++) {
      const source = (row * width + first) * channels;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 1 << (PRECISION_BITS - 1);
        for (let tap = 0; tap < weights.length; tap++) {
          sum += data[source + tap * channels + channel] * weights[tap];
        }
        output[target++] = sum >> PRECISION_BITS;
      }
    }
  }
  return { data: output, width: height, height: count, channels: 3 };
}

/**
 * Resizes the short side of an image to `resize` pixels and crops the center `crop` × `crop`.
 *
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image RGBA, row by row.
 * @param {{resize: number, crop: number}} sizes
 * @returns {Uint8ClampedArray} (crop, crop, 3), RGB.
 */
export function centerCrop({ width, height, data }, { resize, crop }) {
  const short = Math.min(width, height);
  const middle = (side) => {
    const size = side === short ? resize : Math.trunc(side * (resize / short));
    return { size, start: roundHalfToEven((size - crop) / 2), count: crop };
  };
  const narrow = resizeAndTranspose({ data, width, height, channels: 4 }, middle(width));
  return resizeAndTranspose(narrow, middle(height)).data;
}
