// JavaScript values <-> a small JSON skeleton and flat typed arrays.
//
// Only the two cross into Python. In the skeleton, {"$array": i, "shape": [...]} stands
// for buffer i and {"$network": handle} for a network; `loom/wire.py` is the other end.
import { LoomError } from "./errors.mjs";

/** Shorter lists of numbers travel in the skeleton. */
const INLINE = 8;

/**
 * An array that stays on the GPU: what ToGPU gives, and ForwardGPU and BackwardGPU of all
 * networks there take as an array.
 */
export class GPUArray {
  #host;
  #ticket;

  /** @param {object} host  of its network  @param {object} mark  Python's of it */
  constructor(host, { $gpu, number, shape, dtype, nbytes }) {
    Object.assign(this, { shape, dtype, nbytes });
    this.#host = host;
    this.#ticket = { gpu: $gpu, number, dtype, size: shape.reduce((a, b) => a * b, 1) };
  }

  /** Give the memory back; later calls with it fail. Garbage collection does it too. */
  free() {
    if (this.#ticket) this.#host.free(this.#ticket.gpu);
    this.#ticket = null;
  }

  /** What stands for an array in a message to `host`. */
  static ticket(array, host, where) {
    const wrong = array.#ticket ? array.#host !== host && "is another loadLoom()'s" : "was freed";
    if (!wrong) return array.#ticket;
    throw new LoomError(`${where}: this GPUArray ${wrong}. Send it again.`, "DeviceError");
  }
}

/**
 * @typedef {object} Message
 * @property {string} text
 * @property {(ArrayBufferView | object)[]} buffers  an object is a GPUArray's ticket
 * @property {ArrayBuffer[]} owned  of the buffers, those made here: free to transfer
 */

/**
 * A message of `values`, the arguments of `where`. Typed arrays go as they are, nested
 * lists of numbers as Float64Array, so that no digit is lost.
 * @param {unknown[]} values
 * @param {string} where  for errors
 * @param {object} host  whom it is for
 * @returns {Message}
 */
export function encode(values, where, host) {
  /** @type {ArrayBufferView[]} */
  const buffers = [];
  const owned = [];
  const put = (buffer, shape) => ({ $array: buffers.push(buffer) - 1, shape });

  const refuse = (path, expected, got) => {
    throw new LoomError(`${where}: ${path}: expected ${expected}, got ${got}.`, "WireError");
  };

  const walk = (value, path) => {
    switch (typeof value) {
      case "string":
      case "boolean":
        return value;
      case "number":
        return Number.isFinite(value) ? value : refuse(path, "a finite number", value);
      case "object":
        break;
      default:
        return refuse(path, "a number, string, array or plain object", typeof value);
    }
    if (value === null) return null;
    if (value instanceof GPUArray) {
      return put(GPUArray.ticket(value, host, where), value.shape);
    }
    if (ArrayBuffer.isView(value)) {
      if (value instanceof DataView) refuse(path, "a typed array", "a DataView");
      if (value.buffer.detached) refuse(path, "a typed array", "one that was transferred");
      const shape = Array.from(value.shape ?? [value.length]);
      if (!shape.every((size) => Number.isInteger(size) && size >= 0)) {
        refuse(`${path}.shape`, "whole numbers", JSON.stringify(value.shape));
      }
      const array = plain(value);
      if (array !== value) owned.push(array.buffer);
      return put(array, shape);
    }
    if (Array.isArray(value)) {
      const shape = numericShape(value);
      const count = shape && shape.reduce((a, b) => a * b, 1);
      if (count > INLINE) {
        const flat = flatten(value, count);
        owned.push(flat.buffer);
        return put(flat, shape);
      }
      return value.map((item, i) => walk(item, `${path}[${i}]`));
    }
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) {
      refuse(path, "a plain object", value.constructor?.name ?? "another object");
    }
    const result = {};
    for (const [key, item] of Object.entries(value)) {
      if (item !== undefined) result[key] = walk(item, `${path}.${key}`);
    }
    return result;
  };

  // An optional argument left out is `undefined` at the end.
  let length = values.length;
  while (length > 0 && values[length - 1] === undefined) length--;
  const skeleton = values.slice(0, length).map((v, i) => walk(v, `argument ${i + 1}`));
  return { text: JSON.stringify(skeleton), buffers, owned };
}

/** An array as Python and WebGPU take it: no halves, no memory that changes its size. */
function plain(array) {
  if (array.constructor.name === "Float16Array") return Float32Array.from(array);
  return array.buffer.resizable || array.buffer.growable ? array.slice() : array;
}

/** The shape of a rectangular nested list of numbers, or null if it is none. */
function numericShape(list) {
  const shape = [];
  for (let level = list; Array.isArray(level); level = level[0]) {
    if (level.length === 0) return null;
    shape.push(level.length);
  }
  const fits = (level, depth) =>
    Array.isArray(level) && level.length === shape[depth] &&
    (depth === shape.length - 1
      ? level.every((item) => typeof item === "number")
      : level.every((item) => fits(item, depth + 1)));
  return fits(list, 0) ? shape : null;
}

function flatten(list, count) {
  const flat = new Float64Array(count);
  let at = 0;
  const fill = (level) => {
    if (Array.isArray(level)) level.forEach(fill);
    else flat[at++] = level;
  };
  fill(list);
  return flat;
}

/**
 * The value of a message. Arrays stay typed, with `.shape` unless they are 1-D.
 * @param {string} text
 * @param {ArrayBufferView[]} buffers
 * @param {(handle: number) => unknown} network  makes the object for a handle
 * @param {(mark: object) => GPUArray} onGPU  makes an array on the GPU
 */
export function decode(text, buffers, network, onGPU) {
  return revive(JSON.parse(text), (mark) => {
    if ("$network" in mark) return network(mark.$network);
    if ("$gpu" in mark) return onGPU(mark);
    const array = buffers[mark.$array];
    if (mark.shape.length !== 1) Object.defineProperty(array, "shape", { value: mark.shape });
    return array;
  });
}

/**
 * A parsed skeleton with its arrays as nested lists of numbers, fit for JSON. As in
 * `wire.dump`, an array that is itself one of the `results` is flat.
 */
export function toLists(results, buffers) {
  const nest = (flat, shape) => {
    if (shape.length === 0) return flat[0];
    if (shape.length === 1) return Array.from(flat);
    const size = flat.length / shape[0];
    return Array.from({ length: shape[0] }, (_, i) =>
      nest(flat.subarray(i * size, (i + 1) * size), shape.slice(1)));
  };
  const print = (item) =>
    item?.$array === undefined
      ? revive(item, (mark) => nest(buffers[mark.$array], mark.shape))
      : Array.from(buffers[item.$array]);
  return Array.isArray(results) ? results.map(print) : print(results);
}

function revive(value, replace) {
  if (Array.isArray(value)) return value.map((item) => revive(item, replace));
  if (value === null || typeof value !== "object") return value;
  if ("$array" in value || "$network" in value || "$gpu" in value) return replace(value);
  for (const key in value) value[key] = revive(value[key], replace);
  return value;
}
