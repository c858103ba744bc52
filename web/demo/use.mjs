// The example that can be copied.
import { $ } from "./dom.mjs";

const TEXT = `import { loadLoom } from "./loom.mjs";

const { NewNetwork, InitDenseLayer } = await loadLoom();
const network = NewNetwork(64, 1, 1, 2);
network.SetLayer(0, 0, 0, InitDenseLayer(64, 32, "relu"));
network.SetLayer(0, 0, 1, InitDenseLayer(32, 10, "linear"));

const [output, nanoseconds] = network.ForwardCPU(new Float32Array(64));
const result = await network.TrainAsync([images, labels], {
  Epochs: 20, LearningRate: 0.01, Optimizer: "adam", LossType: "softmax_cross_entropy",
});`;

/** Show the example and let it be copied. */
export function startUse() {
  $("snippet").textContent = TEXT;
  $("copy").addEventListener("click", async () => {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(TEXT);
    } catch {
      getSelection().selectAllChildren($("snippet"));
      done = "Selected: copy it with your keyboard";
    }
    $("copy").textContent = done;
    setTimeout(() => {
      $("copy").textContent = "Copy";
    }, 2500);
  });
}
