// Runs an exported network in ONNX Runtime Web.
// Words: the module of the runtime, the ONNX file, the bytes of the images, their shape and type.
// Prints the logits as a JSON list.
import { readFile } from "node:fs/promises";

const [runtime, model, images, shape, type] = process.argv.slice(2);
const ort = await import(runtime);
const session = await ort.InferenceSession.create(await readFile(model));
const bytes = new Uint8Array(await readFile(images));
const values = type === "uint8" ? bytes : new Float32Array(bytes.buffer);
const tensor = new ort.Tensor(type, values, shape.split(",").map(Number));
const { logits } = await session.run({ pictures: tensor });
console.log(JSON.stringify([...logits.data]));
