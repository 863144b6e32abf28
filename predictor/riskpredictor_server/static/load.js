// The scaling demo: users in this browser send batches until the time is up.
//
// Each user sends one batch, waits for the answer, thinks, and sends the next. Browsers open few
// connections to one server, so users queue for them: what is shown is what the browser achieved.

import { bar, byId, element } from "./dom.js";

const BATCH = 100;
const THINK_MS = 100;
const TICK_MS = 500;
const WINDOW_MS = 5000;
const TIMEOUT_MS = 10000;

const between = (low, high) => Math.round(low + Math.random() * (high - low));

function batch() {
  const instances = Array.from({ length: BATCH }, () => ({
    heart_rate: between(40, 160),
    blood_pressure: between(75, 215),
    temperature: between(940, 1045) / 10,
    oxygen_level: between(82, 100),
  }));
  return JSON.stringify({ instances });
}

function quantile(sorted, q) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : null;
}

const milliseconds = (value) => (value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);

class Run {
  constructor(users, seconds) {
    this.users = users;
    this.begun = performance.now();
    this.ends = this.begun + 1000 * seconds;
    this.stopping = new AbortController();
    this.answers = []; // of the last WINDOW_MS: {at, took, pod, ok}
    this.latencies = [];
    this.rates = [];
    this.pods = new Set();
    this.count = 0;
    this.errors = 0;
    this.problem = "";
  }

  get over() {
    return this.stopping.signal.aborted || performance.now() >= this.ends;
  }

  async user() {
    const body = batch();
    while (!this.over) {
      await this.request(body);
      await new Promise((done) => setTimeout(done, THINK_MS * (0.5 + Math.random())));
    }
  }

  async request(body) {
    const began = performance.now();
    let pod = "";
    let ok = false;
    try {
      const signal = AbortSignal.any([this.stopping.signal, AbortSignal.timeout(TIMEOUT_MS)]);
      const headers = { "Content-Type": "application/json" };
      const response = await fetch("predict", { method: "POST", headers, body, signal });
      await response.arrayBuffer();
      pod = response.headers.get("X-Served-By") ?? "unknown";
      ok = response.ok;
      if (!ok) this.problem = `HTTP ${response.status}`;
    } catch (error) {
      if (this.stopping.signal.aborted) return;
      this.problem = error.name === "TimeoutError" ? "no answer in time" : "connection failed";
    }
    const at = performance.now();
    this.answers.push({ at, took: at - began, pod, ok });
    if (ok) this.latencies.push(at - began);
    if (pod) this.pods.add(pod);
    this.count += 1;
    this.errors += ok ? 0 : 1;
  }
}

function draw(run) {
  const now = performance.now();
  run.answers = run.answers.filter((answer) => now - answer.at <= WINDOW_MS);
  const span = Math.min(WINDOW_MS, now - run.begun) / 1000;
  const good = run.answers.filter((answer) => answer.ok);
  const rate = good.length / span;
  const took = good.map((answer) => answer.took).sort((a, b) => a - b);
  byId("load-progress").value = Math.min(1, (now - run.begun) / (run.ends - run.begun));
  byId("load-users").textContent = run.users;
  byId("load-rate").textContent = Math.round(rate);
  byId("load-predictions").textContent = Math.round(rate * BATCH).toLocaleString("en");
  byId("load-p50").textContent = milliseconds(quantile(took, 0.5));
  byId("load-p95").textContent = milliseconds(quantile(took, 0.95));
  byId("load-errors").textContent = run.errors;
  byId("load-errors-tile").classList.toggle("bad", run.errors > 0);
  drawPods(run.answers.filter((answer) => answer.pod));
  run.rates.push(rate);
  drawChart(run.rates);
}

function drawPods(answers) {
  const counts = new Map();
  for (const { pod } of answers) counts.set(pod, (counts.get(pod) ?? 0) + 1);
  byId("load-pods-count").textContent = counts.size === 1 ? "1 pod" : `${counts.size} pods`;
  byId("load-pods").replaceChildren(
    ...[...counts].sort().map(([pod, count]) => {
      const share = count / answers.length;
      return bar(pod, share, `${Math.round(100 * share)} %`);
    }),
  );
}

function drawChart(rates) {
  const top = Math.max(...rates, 1);
  const step = 300 / Math.max(rates.length - 1, 1);
  const points = rates.map((rate, index) => `${(index * step).toFixed(1)} ${(86 - (80 * rate) / top).toFixed(1)}`);
  byId("load-chart").querySelector(".line").setAttribute("d", `M${points.join("L")}`);
  byId("load-chart").querySelector(".area").setAttribute("d", `M0 90L${points.join("L")}L300 90Z`);
}

function summarise(run) {
  const seconds = (performance.now() - run.begun) / 1000;
  run.latencies.sort((a, b) => a - b);
  const parts = [
    `${run.users} users, ${seconds.toFixed(0)} s: ${run.count.toLocaleString("en")} requests,`,
    `${Math.round(run.count / seconds)} per second,`,
    `p50 ${milliseconds(quantile(run.latencies, 0.5))}, p95 ${milliseconds(quantile(run.latencies, 0.95))},`,
    `${run.errors} errors${run.problem ? ` (${run.problem})` : ""},`,
    `answered by ${run.pods.size} ${run.pods.size === 1 ? "pod" : "pods"}.`,
  ];
  byId("load-summary").replaceChildren(element("strong", "", "Done. "), parts.join(" "));
}

async function start(button) {
  const buttons = document.querySelectorAll(".load");
  const run = new Run(Number(button.dataset.users), Number(byId("load-seconds").value));
  buttons.forEach((each) => (each.disabled = true));
  button.setAttribute("aria-pressed", "true");
  byId("load-live").hidden = false;
  byId("load-summary").textContent = "";
  const stop = byId("load-stop");
  stop.disabled = false;
  stop.onclick = () => run.stopping.abort();
  const ticking = setInterval(() => draw(run), TICK_MS);
  await Promise.all(Array.from({ length: run.users }, () => run.user()));
  clearInterval(ticking);
  draw(run);
  summarise(run);
  stop.disabled = true;
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
