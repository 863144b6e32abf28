// The scaling demo's controls, and what they show while it runs and when it is over.

import { Refusal, ask } from "./api.js";
import { bar, byId, element } from "./dom.js";
import { patients } from "./patients.js";
import { BATCH, Run, quantile } from "./run.js";
import { schema } from "./schema.js";

const TICK_MS = 500;
// A Service with several pods has shown a second one by then.
const LONG_SECONDS = 8;
const LONG_ANSWERS = 50;
// Pods that answer this soon were there from the start.
const START_SECONDS = 3;

const whole = (value) => Math.round(value).toLocaleString("en");
const milliseconds = (value) => (value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);
const podCount = (count) => `${count} ${count === 1 ? "pod" : "pods"}`;

function draw(run, rates) {
  const { answers, span } = run.recent();
  const good = answers.filter((answer) => answer.ok);
  const rate = good.length / span;
  const took = good.map((answer) => answer.took).sort((a, b) => a - b);
  byId("load-progress").value = Math.min(1, run.elapsed / run.seconds);
  byId("load-users").textContent = run.users;
  byId("load-rate").textContent = whole(rate);
  byId("load-predictions").textContent = whole(rate * BATCH);
  byId("load-p50").textContent = milliseconds(quantile(took, 0.5));
  byId("load-p95").textContent = milliseconds(quantile(took, 0.95));
  byId("load-errors").textContent = whole(run.errors);
  byId("load-errors-tile").classList.toggle("bad", run.errors > 0);
  drawPods(run.pods, answers.filter((answer) => answer.pod));
  byId("load-one-pod").hidden = !(
    run.pods.size === 1 && run.elapsed >= LONG_SECONDS && run.count >= LONG_ANSWERS
  );
  rates.push(rate);
  drawChart(rates);
}

function drawPods(pods, answers) {
  byId("load-pods-count").textContent = podCount(pods.size);
  byId("load-pods").replaceChildren(
    ...[...pods].sort(([a], [b]) => a.localeCompare(b)).map(([name, { count, since }]) => {
      const share = answers.filter((answer) => answer.pod === name).length / Math.max(1, answers.length);
      const item = bar(name, share, whole(count));
      if (since > START_SECONDS) item.querySelector(".name").append(" ", element("small", "", `since ${since.toFixed(0)} s`));
      return item;
    }),
  );
}

function drawChart(rates) {
  const top = Math.max(...rates, 1);
  const step = 300 / Math.max(rates.length - 1, 1);
  const points = rates.map((rate, index) => `${(index * step).toFixed(1)} ${(86 - (80 * rate) / top).toFixed(1)}`);
  byId("load-chart").querySelector(".line").setAttribute("d", `M${points.join("L")}`);
  byId("load-chart").querySelector(".area").setAttribute("d", `M0 90L${points.join("L")}L300 90Z`);
  byId("load-chart-top").textContent = `highest ${whole(top)}`;
}

function summarise(run) {
  const latencies = run.latencies.sort((a, b) => a - b);
  const parts = [
    `${run.users} users, ${run.elapsed.toFixed(0)} s: ${whole(run.count)} requests,`,
    `${whole(run.count / run.elapsed)} per second,`,
    `p50 ${milliseconds(quantile(latencies, 0.5))}, p95 ${milliseconds(quantile(latencies, 0.95))},`,
    `${whole(run.errors)} errors${run.problem ? ` (${run.problem})` : ""},`,
    `answered by ${podCount(run.pods.size)}.`,
  ];
  byId("load-summary").replaceChildren(element("strong", "", "Done. "), parts.join(" "));
}

// Records like those that the model was trained on; raises Refusal.
async function ofTraining() {
  const { answer: card } = await ask("model");
  const rows = schema.features.map(({ name }) => card.features.find((row) => row.name === name));
  if (rows.includes(undefined)) throw new Refusal(`model ${card.model_version} asks for other inputs: reload this page`);
  return (count, seed) => patients(count, seed, schema.features, rows);
}

async function go(button) {
  const users = Number(button.dataset.users);
  const seconds = Number(byId("load-seconds").value);
  byId("load-summary").textContent = `Running: ${users} users for ${seconds} seconds.`;
  const run = new Run(users, seconds, await ofTraining());
  const rates = [];
  byId("load-live").hidden = false;
  const stop = byId("load-stop");
  stop.disabled = false;
  stop.onclick = () => run.stop();
  const ticking = setInterval(() => draw(run, rates), TICK_MS);
  await run.go();
  clearInterval(ticking);
  draw(run, rates);
  summarise(run);
  stop.disabled = true;
}

async function start(button) {
  const buttons = document.querySelectorAll(".load, #load-seconds");
  buttons.forEach((each) => (each.disabled = true));
  button.setAttribute("aria-pressed", "true");
  try {
    await go(button);
  } catch (refusal) {
    byId("load-summary").textContent = `The load did not start: ${refusal.message}`;
  }
  button.setAttribute("aria-pressed", "false");
  buttons.forEach((each) => (each.disabled = false));
}

export function setUpLoad() {
  byId("load-batch").textContent = BATCH;
  for (const button of document.querySelectorAll(".load")) {
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => start(button));
  }
}
