/** The bundled model in ONNX Runtime Web: an image in, labels with probabilities out. */

import { centerCrop } from "./crop.js";
import * as ort from "./onnxruntime/ort.wasm.bundle.min.mjs";

/** An image that cannot be classified; the message tells the reader why. */
export class ImageError extends Error {}

// More threads need headers (cross-origin isolation) that a static site does not send.
ort.env.wasm.numThreads = 1;

/**
 * Fetches the model from the folder of this file.
 *
 * @returns {Promise<{description: object, session: object}>}
 */
export async function loadModel() {
  const description = await (await get("model.json")).json();
  const bytes = await (await get("model.onnx")).arrayBuffer();
  return { description, session: await ort.InferenceSession.create(bytes) };
}

async function get(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name}: HTTP status ${response.status}`);
  return response;
}

/**
 * Classifies an image.
 *
 * @param model as `loadModel` returns it.
 * @param {Blob | HTMLVideoElement} source an image file, or the current frame of a camera.
 * @returns {Promise<{answers: {label: string, probability: number}[], preparing: number,
 *   network: number}>} all labels, likeliest first; milliseconds for decoding and resizing, and for
 *   the network.
 * @throws {ImageError}
 */
export async function classify(model, source) {
  const start = performance.now();
  const { labels, crop } = model.description;
  const pixels = centerCrop(await decode(source, model.description), model.description);
  const images = new ort.Tensor("uint8", new Uint8Array(pixels.buffer), [1, crop, crop, 3]);
  const prepared = performance.now();
  const { logits } = await model.session.run({ pictures: images });
  const done = performance.now();
  const probabilities = softmax([...logits.data]);
  const answers = labels.map((label, index) => ({ label, probability: probabilities[index] }));
  answers.sort((one, other) => other.probability - one.probability);
  return { answers, preparing: prepared - start, network: done - prepared };
}

async function decode(source, { max_pixels, max_aspect }) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(source);
  } catch {
    throw new ImageError("Your browser cannot read this file as an image.");
  }
  const { width, height } = bitmap;
  if (width * height > max_pixels) {
    throw new ImageError(`${width} × ${height} pixels are too many. Use a smaller copy.`);
  }
  if (Math.max(width, height) > max_aspect * Math.min(width, height)) {
    throw new ImageError(`${width} × ${height} pixels are too narrow. Crop the image first.`);
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white"; // of what is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
