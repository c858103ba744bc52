// A GPU program's own part on a device (see webgpu.mjs): pipelines, buffers, bind groups,
// commands.
import { LoomError } from "./errors.mjs";

/** Bytes from which a write goes through a carrier, and how many of those are kept. */
const [LARGE, CARRIERS] = [1 << 20, 4];
const ACCESS = { read: "read-only-storage", write: "storage", uniform: "uniform" };
const PERSISTENT = new Set(["weight", "half", "gradient", "slot", "state", "control"]);
const ITEM = { f32: 4, f16: 2, u32: 4 };

/** A device's compiled shaders, each made once. */
export class Pipelines {
  #raw;
  #failed;
  #modules = new Map();
  #layouts = new Map();
  #made = new Map();

  /**
   * @param {GPUDevice} raw
   * @param {(error: Error) => Promise<LoomError>} failed  gives the error to throw
   */
  constructor(raw, failed) {
    this.#raw = raw;
    this.#failed = failed;
  }

  /** The pipeline of a program's row. @returns {Promise<GPUComputePipeline>} */
  get(row, text) {
    const key = JSON.stringify([text, row.entry, row.constants, row.layout, row.features]);
    if (!this.#made.has(key)) {
      const made = this.#compile(row, text);
      this.#made.set(key, made);
      made.catch(() => this.#made.delete(key));
    }
    return this.#made.get(key);
  }

  async #compile(row, text) {
    const group = this.layout(row.layout);
    // Ours are named by the program; the text has none of its own but for halves.
    const enables = row.features.filter((name) => name === "subgroups");
    const code = enables.map((name) => `enable ${name};\n`).join("") + text;
    if (!this.#modules.has(code)) {
      this.#modules.set(code, this.#raw.createShaderModule({ code, label: row.label }));
    }
    const module = this.#modules.get(code);
    try {
      return await this.#raw.createComputePipelineAsync({
        label: row.label,
        layout: this.#raw.createPipelineLayout({ bindGroupLayouts: [group] }),
        compute: { module, entryPoint: row.entry, constants: row.constants },
      });
    } catch (error) {
      const { messages } = await module.getCompilationInfo().catch(() => ({ messages: [] }));
      const failed = await this.#failed(error);
      if (failed.kind === "DeviceLost") throw failed;
      const lines = messages.map((m) => `line ${m.lineNum}: ${m.message}`);
      const why = lines.join("; ") || error.message;
      throw new LoomError(`${row.label} does not compile: ${why}`, "DeviceError");
    }
  }

  /** The layout of a row's bind group. */
  layout(rows) {
    const key = JSON.stringify(rows);
    if (!this.#layouts.has(key)) {
      const entries = rows.map(([binding, access]) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: ACCESS[access] },
      }));
      this.#layouts.set(key, this.#raw.createBindGroupLayout({ entries }));
    }
    return this.#layouts.get(key);
  }
}

/** Writes to a device's buffers. */
export class Uploads {
  #raw;
  /** Mapped buffers for large writes by size; null while the device has it. */
  #carriers = new Map();

  /** @param {GPUDevice} raw */
  constructor(raw) {
    this.#raw = raw;
  }

  /**
   * As writeBuffer, which takes new memory each time (8 MB: 8 ms). What is as large as a
   * write before goes through a buffer that is kept, and mapped again afterwards (2 ms).
   */
  put(buffer, offset, bytes) {
    const { length } = bytes;
    const carrier = this.#carriers.get(length);
    if (carrier) {
      this.#carriers.set(length, null);
      new Uint8Array(carrier.getMappedRange()).set(bytes);
      carrier.unmap();
      const encoder = this.#raw.createCommandEncoder();
      encoder.copyBufferToBuffer(carrier, 0, buffer, offset, length);
      this.#raw.queue.submit([encoder.finish()]);
      this.#carry(length, carrier);
      return;
    }
    this.#raw.queue.writeBuffer(buffer, offset, bytes);
    if (length < LARGE || this.#carriers.has(length)) return;
    if (this.#carriers.size === CARRIERS) {
      const [oldest] = this.#carriers.keys();
      this.#carriers.get(oldest)?.destroy();
      this.#carriers.delete(oldest);
    }
    this.#carry(length);
  }

  /** Have a carrier made if there is none, and mapped for the next write. */
  async #carry(size, carrier) {
    this.#carriers.set(size, null);
    try {
      if (!carrier) {
        const usage = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC;
        this.#raw.pushErrorScope("out-of-memory");
        carrier = this.#raw.createBuffer({ size, usage, label: "carrier" });
        if (await this.#raw.popErrorScope()) return; // it goes without
      }
      await carrier.mapAsync(GPUMapMode.WRITE);
    } catch {
      return; // the device is lost
    }
    if (this.#carriers.has(size)) this.#carriers.set(size, carrier);
    else carrier.destroy();
  }
}

/** A program's buffers and commands on a device. */
export class Executable {
  #device;
  #program;
  /** @type {GPUBuffer[]} */
  #buffers;
  /** @type {GPUBuffer[]} */
  #own = [];
  #names;
  #rows;
  /** The dispatches by passes asked for. */
  #parts = new Map();

  /** What it runs must be given to `complete`. */
  constructor(device, raw, program, layouts, kept) {
    this.#device = device;
    this.#program = program;
    const mine = (...values) => {
      const buffer = device.make(...values);
      this.#own.push(buffer);
      return buffer;
    };
    const slots = program.slots.map((bytes) => mine(bytes, "storage", "shared"));
    this.#buffers = program.buffers.map((row) => {
      if (PERSISTENT.has(row.role)) return kept(row.name);
      if (row.role === "transient" && row.slot >= 0) return slots[row.slot];
      const uniform = row.role === "params" || row.role === "step";
      const buffer = mine(row.bytes, uniform ? "uniform" : "storage", row.name);
      if (row.data) {
        const bytes = Uint8Array.from(atob(row.data), (letter) => letter.charCodeAt(0));
        device.put(buffer, 0, bytes);
      }
      return buffer;
    });
    this.#names = new Map(program.buffers.map((row, i) => [row.name, this.#buffers[i]]));
    const groups = program.bind_groups.map(([pipeline, bindings]) =>
      raw.createBindGroup({
        label: program.pipelines[pipeline].label,
        layout: layouts[pipeline],
        entries: bindings.map(([binding, buffer, offset, size]) => ({
          binding,
          resource: { buffer: this.#buffers[buffer], offset, size },
        })),
      }),
    );
    this.#rows = program.dispatches.map(([pipeline, group, x, y, z]) => ({
      pipeline,
      group: groups[group],
      x,
      y,
      z,
    }));
  }

  /** Take the pipelines, in the program's order. */
  complete(pipelines) {
    for (const row of this.#rows) row.pipeline = pipelines[row.pipeline];
  }

  /** A buffer by its own name, or by the name of the input that lies in it. */
  named(name) {
    const input = this.#program.inputs[name];
    return input ? this.#buffers[input.buffer] : this.#names.get(name);
  }

  /** Where an input begins in its buffer. */
  start(name) {
    return this.#program.inputs[name]?.offset ?? 0;
  }

  /** The dispatches of passes. */
  commands(parts) {
    if (!this.#parts.has(parts)) {
      const names = parts.split(" ").filter((name) => name in this.#program.passes);
      const rows = names.flatMap((name) => this.#rows.slice(...this.#program.passes[name]));
      this.#parts.set(parts, rows);
    }
    return this.#parts.get(parts);
  }

  /** What to copy for outputs, and the bytes of all. */
  copies(outputs) {
    let at = 0;
    const copies = outputs.split(" ").map((name) => {
      const { buffer, offset, shape, dtype } = this.#program.outputs[name];
      const bytes = shape.reduce((a, b) => a * b, ITEM[dtype]);
      const copy = { source: this.#buffers[buffer], offset, bytes, at };
      at += Math.ceil(bytes / 8) * 8;
      return copy;
    });
    return { copies, bytes: at };
  }

  /** Free its own buffers; those of the network stay. */
  close() {
    for (const buffer of this.#own.splice(0)) this.#device.unmake(buffer);
  }
}

/** Buffers' bytes in a mapped buffer of their own, until they are read or dropped. */
export class Kept {
  /** @type {GPUBuffer | null} */
  target;
  /** What to copy into it. */
  copies;
  #bytes = null;
  #close;

  /**
   * @param {GPUBuffer[]} sources
   * @param {(size: number) => GPUBuffer} open  gives the buffer that will be mapped
   * @param {(target: GPUBuffer) => void} close  takes it back
   */
  constructor(sources, open, close) {
    const at = [0];
    for (const { size } of sources) at.push(at.at(-1) + Math.ceil(size / 256) * 256);
    const target = open(at.at(-1) || 256);
    const copy = (source, i) => ({ source, offset: 0, bytes: source.size, target, at: at[i] });
    this.target = target;
    this.copies = sources.map(copy);
    this.#close = close;
  }

  /** The bytes, each source's from 256 to 256; no longer there after `free`. */
  read() {
    this.#bytes ??= new Uint8Array(this.target.getMappedRange());
    return this.#bytes;
  }

  /** Give the buffer back. */
  free() {
    if (!this.target) return;
    this.target.unmap();
    this.#close(this.target);
    this.target = null;
  }
}

/** The bytes, in a new array or over the one that `place` has from before. */
export function copied(bytes, place) {
  if (!place) return bytes.slice();
  place.bytes ??= new Uint8Array(bytes.length);
  place.bytes.set(bytes);
  return place.bytes;
}

/** Write dispatches into one compute pass. */
export function encode(encoder, commands, descriptor) {
  const pass = encoder.beginComputePass(descriptor);
  let last = null;
  for (const { pipeline, group, x, y, z } of commands) {
    if (pipeline !== last) pass.setPipeline(pipeline);
    last = pipeline;
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(x, y, z);
  }
  pass.end();
}

/** The bytes, with zeros to whole words. */
export function padded(bytes) {
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length % 4 === 0) return view;
  const whole = new Uint8Array(Math.ceil(view.length / 4) * 4);
  whole.set(view);
  return whole;
}
