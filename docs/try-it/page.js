/** The try-it page: files, samples and the camera. */

import { classify, loadModel, ImageError } from "./classify.js";

const SHOWN = 5;

const element = (id) => document.getElementById(`try-it-${id}`);
const video = element("video");

let loading;

/** Returns the model; fetches it on first use, and again after a failure. */
function model() {
  loading ??= loadModel().catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function answer(source) {
  element("answers").replaceChildren();
  say("Working …");
  try {
    const result = await classify(await model(), source);
    element("answers").replaceChildren(...result.answers.slice(0, SHOWN).map(bar));
    const { network, preparing } = result;
    say(`The network took ${network.toFixed(0)} ms, decoding and resizing ${preparing.toFixed(0)} ms.`);
  } catch (error) {
    say(error instanceof ImageError ? error.message : `The model did not run: ${error.message}`);
  }
}

function say(text) {
  element("status").textContent = text;
}

function bar({ label, probability }) {
  const item = document.createElement("li");
  const percentage = `${(probability * 100).toFixed(1)} %`;
  item.style.setProperty("--share", probability);
  item.dataset.probability = probability;
  for (const text of [label, percentage]) {
    const part = document.createElement("span");
    part.textContent = text;
    item.append(part);
  }
  return item;
}

function showFile(file) {
  if (!file) return;
  stopCamera();
  URL.revokeObjectURL(element("image").src);
  element("image").src = URL.createObjectURL(file);
  answer(file);
}

async function startCamera() {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
  } catch (error) {
    say(`The camera cannot be used: ${error.message}`);
    return;
  }
  await video.play();
  element("box").dataset.camera = "on";
  element("camera").textContent = "Take a photograph";
}

function stopCamera() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  delete element("box").dataset.camera;
  element("camera").textContent = "Use the camera";
}

/** Returns the current frame of the camera, as a file. */
function frame() {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.convertToBlob();
}

element("file").addEventListener("change", (event) => showFile(event.target.files[0]));
element("image").addEventListener("error", (event) => event.target.removeAttribute("src"));
element("camera").addEventListener("click", async () => {
  if (video.srcObject) showFile(await frame());
  else startCamera();
});
element("box").addEventListener("dragover", (event) => event.preventDefault());
element("box").addEventListener("drop", (event) => {
  event.preventDefault();
  showFile(event.dataTransfer.files[0]);
});
element("samples").addEventListener("click", async (event) => {
  const { src } = event.target;
  if (src) showFile(await (await fetch(src)).blob());
});
