// Runs the GPU programs that loom/gpu builds: makes the buffers, pipelines and bind groups
// that stand in a program and goes through its dispatches. It knows no layer and has no
// arithmetic. Python's end is loom/gpu/browser.py; handles are integers.
import { LoomError } from "./errors.mjs";
import { copied, encode, Executable, Kept, padded, Pipelines, Uploads } from "./executable.mjs";

/** Ours -> WebGPU's; used where they exist, never required. */
const FEATURES = { f16: "shader-f16", subgroups: "subgroups", timestamps: "timestamp-query" };
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupStorageSize",
];
/** Groups of submissions that may wait on the device before `room` makes the caller wait. */
const IN_FLIGHT = 3;
/** Submissions of a group: at most LARGEST, as many as take from SHORT to LONG ms. */
const [LARGEST, SHORT, LONG] = [16, 2, 10];
/** Staging buffers that are kept. */
const IDLE = 8;
/** Ms from a failure to the loss that it may come from. */
const LOSS = 500;
/** Ms of asking for a result again and again before waiting for the browser to look. */
const ASKING = 3;

/** Handles are of one device only. */
let next = 1;

const refused = (why) => new LoomError(`the GPU reports: ${why}`, "DeviceError");
const lostError = (why) =>
  new LoomError(`the GPU was lost: ${why.replace(/\.$/, "")}`, "DeviceLost");

/** The opening that is under way. @type {Promise<Device> | null} */
let opening = null;

/**
 * Open the GPU: once for all who ask meanwhile. Rejects with a DeviceError that says why
 * there is none.
 * @returns {Promise<Device>}
 */
export function open() {
  opening ??= opened().finally(() => {
    opening = null;
  });
  return opening;
}

async function opened() {
  if (!globalThis.navigator?.gpu) {
    throw new LoomError(
      "this browser has no WebGPU here. Use a current Chromium, or train on the CPU.",
      "DeviceError",
    );
  }
  const adapter = await navigator.gpu
    .requestAdapter({ powerPreference: "high-performance" })
    .catch(() => null); // while the browser starts its GPU process again
  if (!adapter) {
    throw new LoomError(
      "WebGPU is there, but the browser gives no adapter: it may be blocked, or the driver " +
        "unknown, or the GPU was lost too often. Train on the CPU, or look at chrome://gpu.",
      "DeviceError",
    );
  }
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  const requiredFeatures = Object.values(FEATURES).filter((name) => adapter.features.has(name));
  try {
    return new Device(adapter, await adapter.requestDevice({ requiredFeatures, requiredLimits }));
  } catch (error) {
    throw new LoomError(`the GPU cannot be opened: ${error.message}.`, "DeviceError");
  }
}

export class Device {
  /** Bytes of all buffers that were made and not freed, idle staging and carriers apart. */
  liveBytes = 0;
  /** Why the device answers no more; empty while it does. */
  lost = "";
  #raw;
  #adapter;
  /** @type {Map<number, GPUBuffer>} */
  #buffers = new Map();
  /** @type {Map<number, Executable>} */
  #executables = new Map();
  /** @type {Pipelines} */
  #pipelines;
  /** What the device complained about since anyone was told. */
  #complaint = "";
  /** What each group waits for. @type {Promise<void>[]} */
  #flying = [];
  #group = 1;
  #grouped = 0;
  /** Of buffers that were made: rejected where one could not be. @type {Promise<void>[]} */
  #making = [];
  /** Staging buffers that wait for another use. @type {GPUBuffer[]} */
  #idle = [];
  /** @type {Uploads} */
  #uploads;

  constructor(adapter, raw) {
    this.#adapter = adapter;
    this.#raw = raw;
    this.#uploads = new Uploads(raw);
    this.#pipelines = new Pipelines(raw, (error) => this.#failed(error));
    raw.lost.then(({ reason, message }) => {
      this.lost = message || reason || "no reason given";
    });
    raw.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#complaint ||= event.error.message;
    });
    // A processor takes 4 ms for the first memory of all: now, while nobody waits for it.
    raw.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
  }

  /** JSON of {limits, features, info}. */
  describe() {
    const { limits, features } = this.#raw;
    const { vendor, architecture, device, description, isFallbackAdapter } = this.#adapter.info;
    const fixed = ["maxComputeWorkgroupsPerDimension", "minStorageBufferOffsetAlignment"];
    const names = [...LIMITS, ...fixed];
    return JSON.stringify({
      limits: Object.fromEntries(names.map((name) => [name, limits[name]])),
      features: Object.keys(FEATURES).filter((ours) => features.has(FEATURES[ours])),
      info: { vendor, architecture, device, description, software: Boolean(isFallbackAdapter) },
    });
  }

  // Memory ------------------------------------------------------------------------

  /** A zeroed storage buffer. @returns {number} its handle */
  buffer(bytes, label) {
    this.#check();
    const handle = next++;
    const make = () => this.#buffers.set(handle, this.make(bytes, "storage", label));
    this.#making.push(this.#watched(make)[1]);
    return handle;
  }

  /** Reject if any buffer that was asked for could not be made. */
  async made() {
    try {
      await Promise.all(this.#making.splice(0));
    } catch (error) {
      throw await this.#alone(error);
    }
  }

  /** Give a buffer's memory back. */
  free(handle) {
    const buffer = this.#buffers.get(handle);
    this.#buffers.delete(handle);
    if (buffer) this.unmake(buffer);
  }

  /** Queue a write of bytes (Python's, or a typed array), padded to whole words. */
  write(handle, offset, data) {
    this.#check();
    this.put(this.#buffers.get(handle), offset, data);
  }

  /** Bytes of a buffer, after all that was submitted before. */
  async read(handle, offset, bytes) {
    this.#check();
    const copies = [{ source: this.#buffers.get(handle), offset, bytes, at: 0 }];
    return this.#fetch([], copies, bytes);
  }

  /** A GPUBuffer that is counted. */
  make(size, kind, label = "") {
    const usage = {
      storage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
      uniform: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      staging: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    }[kind];
    const buffer = this.#raw.createBuffer({ size, usage, label });
    this.liveBytes += size;
    return buffer;
  }

  /** The reverse of `make`. */
  unmake(buffer) {
    this.liveBytes -= buffer.size;
    buffer.destroy();
  }

  /** Queue a write to a GPUBuffer. */
  put(buffer, offset, data) {
    if (ArrayBuffer.isView(data)) {
      this.#uploads.put(buffer, offset, padded(data));
      return;
    }
    const view = data.getBuffer("u8");
    try {
      this.#uploads.put(buffer, offset, padded(view.data));
    } finally {
      view.release();
    }
  }

  // Programs ----------------------------------------------------------------------

  /**
   * Begin to make a pipeline, which `load` then finds; what is wrong with it, too.
   * @param {string} row  JSON of what a program says of it, its text apart
   */
  compile(text, row) {
    this.#check();
    this.#pipelines.get(JSON.parse(row), text);
  }

  /**
   * Put a program on the device.
   * @param {string} text        what Program.to_dict gives, as JSON
   * @param {string} persistent  JSON: name -> handle of the network's own buffers
   * @returns {Promise<number>}  the executable's handle
   */
  async load(text, persistent) {
    this.#check();
    const program = JSON.parse(text);
    const names = JSON.parse(persistent);
    const rows = program.pipelines;
    const compiled = rows.map((row) => this.#pipelines.get(row, program.shaders[row.shader]));
    const layouts = rows.map((row) => this.#pipelines.layout(row.layout));
    const kept = (name) => this.#buffers.get(names[name]);
    // Its buffers are made while the pipelines are.
    const make = () => new Executable(this, this.#raw, program, layouts, kept);
    const [executable, ready] = this.#watched(make);
    try {
      // What could not be made before is told before what follows from it.
      const all = [Promise.all(compiled), this.made().then(() => ready)];
      const [pipelines] = await Promise.all(all);
      this.#check();
      executable.complete(pipelines);
    } catch (error) {
      executable.close();
      throw await this.#alone(error);
    }
    const handle = next++;
    this.#executables.set(handle, executable);
    return handle;
  }

  /** Whether a program, or a buffer, is here. */
  holds(handle) {
    return this.#executables.has(handle) || this.#buffers.has(handle);
  }

  /** Set an input, the step block or any other buffer of a program's own, by name. */
  set(executable, name, offset, data) {
    this.#check();
    this.put(this.#executables.get(executable).named(name), offset, data);
  }

  /** Set an input to that of another program, or to what a buffer holds. */
  take(executable, name, from) {
    this.#check();
    this.#submit([], [this.#into(executable, name, from)]);
  }

  /**
   * Set buffers by name, then run passes, all in one submission.
   * @param {string} parts  names, with spaces between, as `names`
   * @returns {boolean} whether `room` would wait
   */
  run(executable, parts, names, ...values) {
    this.#check();
    const loaded = this.#executables.get(executable);
    if (names) {
      names.split(" ").forEach((name, i) => {
        this.put(loaded.named(name), loaded.start(name), values[i]);
      });
    }
    this.#submit(loaded.commands(parts), []);
    return this.#flying.length > IN_FLIGHT;
  }

  /**
   * Run passes and give the bytes of outputs, one after the other from 8 to 8.
   * @param {object} [options]
   * @param {[string, number]} [options.given]  an input, and what `take` sets it to
   * @param {{bytes?: Uint8Array}} [options.place]  keeps the array, to be written over next
   */
  async runAndRead(executable, parts, outputs, { given, place } = {}) {
    this.#check();
    const loaded = this.#executables.get(executable);
    const { copies, bytes } = loaded.copies(outputs);
    const first = given && this.#into(executable, ...given);
    return this.#fetch(loaded.commands(parts), copies, bytes, { first, place });
  }

  /**
   * As runAndRead, and the bytes of whole buffers beside it, which nobody may ask for.
   * @param {number[]} handles
   * @returns {Promise<[Uint8Array, Kept]>}
   */
  async runAndKeep(executable, parts, outputs, handles, { given, place } = {}) {
    this.#check();
    const loaded = this.#executables.get(executable);
    const { copies, bytes } = loaded.copies(outputs);
    const kept = new Kept(
      handles.map((handle) => this.#buffers.get(handle)),
      (size) => this.#staging(size),
      (target) => this.#stage(target),
    );
    const first = given && this.#into(executable, ...given);
    const options = { first, kept, place };
    return [await this.#fetch(loaded.commands(parts), copies, bytes, options), kept];
  }

  /** Wait while too many submissions are on their way. */
  async room() {
    const last = this.#flying.splice(0, this.#flying.length - IN_FLIGHT).at(-1);
    const start = performance.now();
    try {
      if (last) await this.#asked(last);
    } catch (error) {
      throw await this.#failed(error);
    }
    // Asking costs a turn: short submissions are asked for in groups.
    const took = performance.now() - start;
    if (took < SHORT) this.#group = Math.min(LARGEST, 2 * this.#group);
    if (took > LONG) this.#group = Math.max(1, this.#group >> 1);
    this.#check();
  }

  /** Nanoseconds that the device itself takes for passes. */
  async measure(executable, parts) {
    const set = this.#raw.createQuerySet({ type: "timestamp", count: 2 });
    const result = this.#raw.createBuffer({
      size: 16,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const encoder = this.#raw.createCommandEncoder();
    const timestampWrites = {
      querySet: set,
      beginningOfPassWriteIndex: 0,
      endOfPassWriteIndex: 1,
    };
    encode(encoder, this.#executables.get(executable).commands(parts), { timestampWrites });
    encoder.resolveQuerySet(set, 0, 2, result, 0);
    this.#raw.queue.submit([encoder.finish()]);
    const copies = [{ source: result, offset: 0, bytes: 16, at: 0 }];
    const [start, end] = new BigUint64Array((await this.#fetch([], copies, 16)).buffer);
    result.destroy();
    set.destroy();
    return Number(end - start);
  }

  /** Forget a program and free its own buffers. */
  close(executable) {
    this.#executables.get(executable)?.close();
    this.#executables.delete(executable);
  }

  /** Close the device; everything on it is lost. */
  destroy() {
    this.lost ||= "it was closed";
    this.#raw.destroy();
  }

  // Inside ------------------------------------------------------------------------

  /** The copy that `take` makes. */
  #into(executable, name, from) {
    const target = this.#executables.get(executable).named(name);
    const source = this.#executables.get(from)?.named(name) ?? this.#buffers.get(from);
    return { source, offset: 0, target, at: 0, bytes: Math.min(source.size, target.size) };
  }

  #submit(commands, copies, first) {
    const encoder = this.#raw.createCommandEncoder();
    const copy = ({ source, offset, target, at, bytes }) =>
      encoder.copyBufferToBuffer(source, offset, target, at, Math.ceil(bytes / 4) * 4);
    if (first) copy(first);
    if (commands.length) encode(encoder, commands);
    copies.forEach(copy);
    this.#raw.queue.submit([encoder.finish()]);
    // What is read back is waited for anyway.
    if (copies.length || ++this.#grouped < this.#group) return;
    this.#grouped = 0;
    const done = this.#raw.queue.onSubmittedWorkDone();
    done.catch(() => {}); // `room` tells, or what is read back
    this.#flying.push(done);
  }

  async #fetch(commands, copies, bytes, { first, kept, place } = {}) {
    const target = this.#staging(Math.ceil(bytes / 256) * 256 || 256);
    try {
      const all = copies.map((copy) => ({ ...copy, target }));
      this.#submit(commands, kept ? [...all, ...kept.copies] : all, first);
      const mapped = [target.mapAsync(GPUMapMode.READ), kept?.target.mapAsync(GPUMapMode.READ)];
      await this.#asked(Promise.all(mapped));
      const data = copied(new Uint8Array(target.getMappedRange(), 0, bytes), place);
      target.unmap();
      this.#flying.length = 0;
      this.#check();
      this.#stage(target);
      return data;
    } catch (error) {
      this.unmake(target);
      kept?.free();
      throw await this.#failed(error);
    }
  }

  /**
   * Await what the device does. Chromium looks whether it is done when a message comes,
   * else each millisecond, which is longer than most passes take: so messages are sent.
   */
  async #asked(promise) {
    let waiting = true;
    const settle = () => {
      waiting = false;
    };
    promise.then(settle, settle);
    const until = performance.now() + ASKING;
    while (waiting && performance.now() < until) {
      this.#raw.pushErrorScope("validation");
      await Promise.race([promise, this.#raw.popErrorScope()]).catch(settle);
    }
    return promise;
  }

  /** A buffer to read through: one that is idle, for making one takes long. */
  #staging(size) {
    const at = this.#idle.findIndex((buffer) => buffer.size === size);
    if (at >= 0) {
      this.liveBytes += size;
      return this.#idle.splice(at, 1)[0];
    }
    while (this.#idle.length >= IDLE) this.#idle.shift().destroy();
    return this.make(size, "staging", "staging");
  }

  /** Put a buffer that was read through where `staging` finds it. */
  #stage(target) {
    this.liveBytes -= target.size;
    this.#idle.push(target);
  }

  /** Throw what has gone wrong since anyone asked. */
  #check() {
    if (this.lost) throw lostError(this.lost);
    const complaint = this.#complaint;
    this.#complaint = "";
    if (complaint) throw refused(complaint);
  }

  /**
   * What `make` gives, and a promise that is rejected if the device refuses any of it: so
   * that it is told to who asked, and to nobody else.
   * @returns {[any, Promise<void>]}
   */
  #watched(make) {
    const kinds = ["validation", "out-of-memory"];
    for (const kind of kinds) this.#raw.pushErrorScope(kind);
    const made = make();
    const told = Promise.all(kinds.map(() => this.#raw.popErrorScope()));
    const ready = told.then(
      ([memory, invalid]) => {
        const advice = "Make the batch or the network smaller, or use the CPU.";
        if (memory) throw refused(`it has no room: ${memory.message} ${advice}`);
        if (invalid) throw refused(invalid.message);
      },
      async (error) => {
        throw await this.#failed(error);
      },
    );
    ready.catch(() => {}); // told to who awaits it
    return [made, ready];
  }

  /** The error, once what follows from it was complained of: writes to what is not there. */
  async #alone(error) {
    await this.#watched(() => {})[1].catch(() => {});
    this.#complaint = "";
    return error;
  }

  /** The error to throw for one of the browser's: what fails by a loss may come before it. */
  async #failed(error) {
    if (error instanceof LoomError) return error;
    await Promise.race([this.#raw.lost, new Promise((resolve) => setTimeout(resolve, LOSS))]);
    const complaint = this.#complaint || error.message;
    this.#complaint = "";
    return this.lost ? lostError(this.lost) : refused(complaint);
  }
}
