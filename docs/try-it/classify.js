/** The bundled model in ONNX Runtime Web: a picture in, labels with probabilities out. */

import { centreCrop } from "./crop.js";
import * as ort from "./onnxruntime/ort.wasm.bundle.min.mjs";

/** What is wrong with a picture, in a sentence for whoever gave it. */
export class PictureError extends Error {}

// More threads need headers (cross-origin isolation) that a static site does not send.
ort.env.wasm.numThreads = 1;

/**
 * Fetches the model that lies beside this file.
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
 * Labels a picture.
 *
 * @param model as `loadModel` gives it.
 * @param {Blob | HTMLVideoElement} source a picture file, or a camera's present frame.
 * @returns {Promise<{answers: {label: string, probability: number}[], preparing: number,
 *   network: number}>} all labels, likeliest first; milliseconds of decoding with resizing, and of
 *   the network.
 * @throws {PictureError}
 */
export async function classify(model, source) {
  const start = performance.now();
  const { labels, crop } = model.description;
  const pixels = centreCrop(await decode(source, model.description), model.description);
  const pictures = new ort.Tensor("uint8", new Uint8Array(pixels.buffer), [1, crop, crop, 3]);
  const prepared = performance.now();
  const { logits } = await model.session.run({ pictures });
  const done = performance.now();
  const probabilities = softmax([...logits.data]);
  const answers = labels.map((label, index) => ({ label, probability: probabilities[index] }));
  answers.sort((one, other) => other.probability - one.probability);
  return { answers, preparing: prepared - start, network: done - prepared };
}

async function decode(source, { max_pixels, max_aspect }) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(source, { colorSpaceConversion: "none" });
  } catch {
    throw new PictureError("This is not a picture that your browser can read, or it is cut short.");
  }
  const { width, height } = bitmap;
  if (width * height > max_pixels) {
    throw new PictureError(`${width} × ${height} pixels are too many; make a smaller copy.`);
  }
  if (Math.max(width, height) > max_aspect * Math.min(width, height)) {
    throw new PictureError(`${width} × ${height} pixels are too narrow; crop the picture first.`);
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
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
