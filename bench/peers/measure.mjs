// What both pages share: the arrays, and how lines are verified and timed.

/** Arrays by name: {shape, values}. */
export async function load() {
  const [manifest, bytes] = await Promise.all([
    fetch("/data/manifest.json").then((reply) => reply.json()),
    fetch("/data/arrays.bin").then((reply) => reply.arrayBuffer()),
  ]);
  const arrays = {};
  for (const { name, shape, offset, length } of manifest) {
    arrays[name] = { shape, values: new Float32Array(bytes, offset, length) };
  }
  return arrays;
}

/** Greatest difference over the greatest value, over all arrays of the two results. */
function difference(ours, theirs) {
  let worst = 0;
  for (let i = 0; i < Math.min(ours.length, theirs.length); i++) {
    let top = 1e-6;
    let gap = 0;
    if (ours[i].length !== theirs[i].length) return Infinity;
    for (let j = 0; j < ours[i].length; j++) {
      top = Math.max(top, Math.abs(ours[i][j]));
      gap = Math.max(gap, Math.abs(ours[i][j] - theirs[i][j]));
      if (Number.isNaN(theirs[i][j])) return Infinity;
    }
    worst = Math.max(worst, gap / top);
  }
  return worst;
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/**
 * Time a line with every contender that has it, interleaved.
 * @param {Record<string, {lines: object}>} started  contenders; `loom` is what is right
 * @param {(name: string, stage: string) => any} [tell]  who begins what
 * @returns {Promise<object>}  {contender: {ms, fastest, spread, firstCall, difference, error}}
 */
export async function measure(started, line, { rounds, least }, tell = () => {}) {
  const runs = {};
  const result = {};
  /** A stage of every contender; one that fails is told and takes no further part. */
  const all = async (names, stage, work) => {
    for (const name of names) {
      await tell(name, stage);
      try {
        await work(name, runs[name]);
      } catch (error) {
        result[name] = { ...result[name], error: `${error}`.slice(0, 200) };
        delete runs[name];
      }
    }
  };
  const having = Object.keys(started).filter((name) => started[name].lines[line]);
  await all(having, "first call", async (name) => {
    const run = await started[name].lines[line]();
    const first = performance.now();
    let output = await run(1);
    result[name] = { firstCall: performance.now() - first };
    if (run.arrange) output = run.arrange(output);
    runs[name] = { run, output, times: [], n: 1 };
  });
  if (!runs.loom) return result;
  const right = runs.loom.output;
  await all(Object.keys(runs), "more calls", async (name, one) => {
    result[name].difference = difference(right, one.output);
    for (;;) {
      const start = performance.now();
      await one.run(one.n);
      const took = performance.now() - start;
      if (took >= least) break;
      one.n = Math.ceil(one.n * Math.min(10, Math.max(1.5, (1.2 * least) / (took + 0.1))));
    }
  });
  for (let round = 1; round <= rounds; round++) {
    await all(Object.keys(runs), `round ${round}`, async (name, one) => {
      const start = performance.now();
      await one.run(one.n);
      one.times.push((performance.now() - start) / one.n);
    });
  }
  for (const [name, one] of Object.entries(runs)) {
    const ms = median(one.times);
    const spread = median(one.times.map((time) => Math.abs(time - ms))) / ms;
    const fastest = Math.min(...one.times);
    Object.assign(result[name], { ms, fastest, spread, calls: one.n * rounds });
  }
  return result;
}
