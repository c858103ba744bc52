"""loom.d.mts: the TypeScript declarations of web/loom.mjs, from the reflection."""

import dataclasses
import json
import re
from string import Template

import numpy as np

from loom import introspection

HEAD = Template("""\
// TypeScript declarations of loom.mjs. Made by build_wasm.py from Loom $version's
// reflection; changes here are lost.

/** A flat array with `shape` when it has not one dimension. */
export type Floats = Float32Array & { readonly shape?: readonly number[] };
type Nested = readonly number[] | readonly Nested[];
/** What is taken where numbers are wanted: typed arrays, or nested lists. */
export type Numbers = Float32Array | Float64Array | Int8Array | Uint8Array
  | Int16Array | Uint16Array | Int32Array | Uint32Array | Uint8ClampedArray | Nested;
/** An array that stays on the GPU, for passes of all networks there. */
export interface GPUArray {
  readonly shape: readonly number[];
  readonly dtype: "f32" | "f16";
  readonly nbytes: number;
  /** Give the memory back; later calls with it fail. */
  free(): void;
}
export type LayerConfig = Record<string, unknown>;
export interface Batch {
  Input: Numbers;
  Target: Numbers;
}
export type DeviationMetrics = Record<string, unknown>;

/** The settings of a training run; each may be left out. */
export interface TrainingConfig {
$settings
}

/** What onProgress gets, at least once an epoch. */
export interface TrainingEvent {
$event
}

export interface TrainingResult {
$result
}

/** Of a method that begins with a text, a text that is no JSON array is that text. */
type Reply<F extends (...values: never) => unknown> =
  string extends Parameters<F>[0] ? string | Awaited<ReturnType<F>> : string;
/** A method, in JSON mode: a JSON array of parameters -> a JSON array of results. */
export interface JSONCall<F extends (...values: never) => unknown> {
  (parameters?: string): Reply<F>;
}
/** The same in a worker. */
export interface AsyncJSONCall<F extends (...values: never) => unknown> {
  (parameters?: string): Promise<Reply<F>>;
}
type Async<F> = F extends (...values: infer P) => infer R
  ? (...values: P) => Promise<Awaited<R>> : never;

/** The typed form of each method. */
export interface Calls {
$methods
}

export interface NetworkBase {
  /** Train without blocking the page; stop() ends it before the next batch. */
  TrainAsync(
    batches: Parameters<Calls["Train"]>[0],
    config?: TrainingConfig,
    options?: { onProgress?: (event: TrainingEvent) => void },
  ): Promise<TrainingResult>;
  /** Send numbers to the GPU once, for many passes of networks there. */
  ToGPU(values: Numbers): Promise<GPUArray>;
  /** Give the memory back now; later calls fail. */
  free(): void;
}

/** In a page, whatever reads from the GPU is awaited. */
type OnGPU = `$${string}GPU$${string}`;
export type Network = NetworkBase & {
  [K in keyof Calls]:
    (K extends OnGPU ? AsyncJSONCall<Calls[K]> : JSONCall<Calls[K]>) & Calls[K];
} & {
  /** Call any method in typed mode. */
  call<K extends keyof Calls>(
    name: K, ...values: Parameters<Calls[K]>
  ): ReturnType<Calls[K]>;
  stop(): void;
  /** Let TrainAsync wait before its next batch, until resume() or stop(). */
  pause(): void;
  /**
   * Let results of ForwardGPU and BackwardGPU be valid only until the next call of
   * the same method with the same shapes, which writes over them.
   */
  reuse(on?: boolean): void;
  resume(): void;
};

export type WorkerNetwork = NetworkBase & {
  [K in keyof Calls]: AsyncJSONCall<Calls[K]> & Async<Calls[K]>;
} & {
  /** Call any method in typed mode. */
  call<K extends keyof Calls>(
    name: K, ...values: Parameters<Calls[K]>
  ): Promise<Awaited<ReturnType<Calls[K]>>>;
  stop(): Promise<void>;
  /** Let TrainAsync wait before its next batch, until resume() or stop(). */
  pause(): Promise<void>;
  resume(): Promise<void>;
};

export interface MethodDescription {
  method_name: string;
  parameters: { name: string; type: string; default?: unknown }[];
  returns: string[];
  doc: string;
}

/** The functions beside Network; layer initialisers give JSON text for SetLayer. */
export interface Functions<N> {
$functions
}

export interface APIBase {
  version: string;
  methods: MethodDescription[];
  functions: MethodDescription[];
}
export type Loom = APIBase & Functions<Network> & {
  /** Call a function in typed mode: objects come as objects. */
  call(name: keyof Functions<Network>, ...values: unknown[]): unknown;
  /** The Pyodide that runs Loom. */
  pyodide: any;
};
export type WorkerLoom = APIBase & {
  [K in keyof Functions<WorkerNetwork>]: Async<Functions<WorkerNetwork>[K]>;
} & {
  /** Call a function in typed mode: objects come as objects. */
  call(name: keyof Functions<Network>, ...values: unknown[]): Promise<unknown>;
  /** End the worker; what is under way rejects. */
  terminate(): void;
};

export interface LoadingProgress {
  stage: "download" | "start" | "ready";
  /** Words for people. */
  label: string;
  /** Of all files together, unpacked. */
  loadedBytes: number;
  totalBytes: number;
  /** The same for each part: Python, NumPy, Loom. */
  parts: { name: string; loadedBytes: number; totalBytes: number }[];
}
export interface LoadOptions {
  /** Run in a worker: every method returns a promise. */
  worker?: boolean;
  /** Where web/dist is served; the folder of loom.mjs if left out. */
  baseURL?: string | URL;
  onProgress?: (progress: LoadingProgress) => void;
}
/** Load Python, NumPy and Loom. */
export function loadLoom(options: LoadOptions & { worker: true }): Promise<WorkerLoom>;
export function loadLoom(options?: LoadOptions & { worker?: false }): Promise<Loom>;

/** What a call in typed mode throws. */
export class LoomError extends Error {
  /** The Python class: ConfigError, ShapeError, InputError, WireError, ... */
  readonly kind: string;
}
""")

TYPES = {
    "int": "number",
    "float": "number",
    "bool": "boolean",
    "string": "string",
    "object": "Record<string, unknown>",
    "int[]": "number[]",
    "float32[]": "Floats",
    "float32[][]": "Floats[]",
    "Batch[]": "readonly Batch[] | readonly [Numbers, Numbers]",
    "Network": "N",
}
# A dataclass field's type hint holds the key -> TypeScript.
FIELDS = {
    "list[float": "(number | null)[]",
    "list[dict": "Record<string, number | null>[]",
    "dict": "Record<string, number | null>",
    "DeviationMetrics": "DeviationMetrics",
    "Any": "unknown",
    "bool": "boolean",
    "str": "string",
    "int": "number",
    "float": "number",
}
TAKEN = {"float32[]": "Numbers", "LayerConfig": "LayerConfig | string"}
TAKEN_ON_GPU = {**TAKEN, "float32[]": "Numbers | GPUArray"}


def declarations() -> str:
    """The text of loom.d.mts."""
    from loom import __version__
    from loom.training import TrainingEvent, TrainingResult

    methods = introspection.get_methods()
    functions = introspection.get_functions()
    return HEAD.substitute(
        version=__version__,
        settings=_settings(),
        event=_fields(TrainingEvent),
        result=_fields(TrainingResult),
        methods="\n".join(_member(row, _awaited(row)) for row in methods),
        functions="\n".join(_member(row, _plain(row["returns"])) for row in functions),
    )


def _settings() -> str:
    """The fields of TrainingConfig, under their wire names."""
    from loom.training import TrainingConfig

    words = {int: "number", float: "number", bool: "boolean", np.ndarray: "Numbers"}
    lines = []
    for row in dataclasses.fields(TrainingConfig):
        rule = row.metadata
        choices = [json.dumps(choice) for choice in rule["choices"]]
        word = " | ".join(choices) or words.get(rule["kind"], "string")
        if row.default is not None:
            lines.append(f"  /** Default: {json.dumps(row.default)}. */")
        lines.append(f"  {rule['wire']}?: {word};")
    return "\n".join(lines)


def _fields(kind: type) -> str:
    """The fields of an event or result, under their wire names."""
    lines = []
    for row in dataclasses.fields(kind):
        hint = row.type.__name__ if isinstance(row.type, type) else str(row.type)
        word = next((to for of, to in FIELDS.items() if of in hint), "unknown")
        if "None" in hint:
            word += " | null"
        lines.append(f"  {introspection.wire_name(row.name)}: {word};")
    return "\n".join(lines)


def _member(row: dict, result: str) -> str:
    taken = TAKEN_ON_GPU if "GPU" in row["method_name"] else TAKEN
    parameters = ", ".join(
        f"{p['name']}{'?' if 'default' in p else ''}: {_type(p['type'], taken)}"
        for p in row["parameters"]
    )
    doc = row["doc"].replace("*/", "*\\/")
    return f"  /** {doc} */\n  {row['method_name']}({parameters}): {result};"


def _awaited(row: dict) -> str:
    """What a method gives; a promise where it reads from the GPU."""
    result = _result(row["returns"])
    return f"Promise<{result}>" if "GPU" in row["method_name"] else result


def _result(returns: list[str]) -> str:
    words = [_type(word) for word in returns]
    if len(words) == 1:
        return words[0]
    return f"[{', '.join(words)}]" if words else "void"


def _plain(returns: list[str]) -> str:
    return "N" if returns == ["Network"] else "string"


def _type(word: str, first: dict[str, str] | None = None) -> str:
    table = {**TYPES, **(first or {})}
    if word in table:
        return table[word]
    if "|" in word:
        return " | ".join(_type(part, first) for part in word.split("|"))
    if word.endswith("[]"):
        return f"{_type(word[:-2], first)}[]"
    if re.fullmatch(r"[A-Z]\w+", word):  # an interface of its own
        return word
    raise TypeError(f"no TypeScript type for the wire's {word!r}; add it to TYPES.")
