// One run of the scaling demo: users that ask until the time is up, and what came of it.
//
// Each user sends one batch, waits for the answer, thinks, and sends the next. Browsers open few
// connections to one server, so users queue for them: what is counted is what the browser achieved.

export const BATCH = 100;
export const WINDOW_MS = 5000;
const THINK_MS = 100;
// What the service's Retry-After asks for.
const AFTER_ERROR_MS = 1000;
const TIMEOUT_MS = 10000;

export class Run {
  // `patients` makes a number of records from a seed.
  constructor(users, seconds, patients) {
    this.users = users;
    this.patients = patients;
    this.seconds = seconds;
    this.begun = performance.now();
    this.ends = this.begun + 1000 * seconds;
    this.stopping = new AbortController();
    this.answers = []; // of the last WINDOW_MS: {at, took, pod, ok}
    this.latencies = [];
    this.pods = new Map(); // name to {count, since}: answers, and when the first came
    this.count = 0;
    this.errors = 0;
    this.problem = "";
  }

  get over() {
    return this.stopping.signal.aborted || performance.now() >= this.ends;
  }

  get elapsed() {
    return (performance.now() - this.begun) / 1000;
  }

  stop() {
    this.stopping.abort();
  }

  // Until every user is done.
  go() {
    return Promise.all(Array.from({ length: this.users }, (_, number) => this.user(number)));
  }

  async user(number) {
    const body = JSON.stringify({ instances: this.patients(BATCH, number + 1) });
    while (!this.over) {
      const ok = await this.request(body);
      await this.pause(ok ? THINK_MS * (0.5 + Math.random()) : AFTER_ERROR_MS);
    }
  }

  // Ends early when the run is stopped.
  pause(milliseconds) {
    const { signal } = this.stopping;
    return new Promise((done) => {
      const end = () => {
        signal.removeEventListener("abort", end);
        done();
      };
      setTimeout(end, milliseconds);
      signal.addEventListener("abort", end);
    });
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
      if (this.stopping.signal.aborted) return false;
      this.problem = error.name === "TimeoutError" ? "no answer in time" : "connection failed";
    }
    this.note({ at: performance.now(), took: performance.now() - began, pod, ok });
    return ok;
  }

  note(answer) {
    this.answers.push(answer);
    this.count += 1;
    if (answer.ok) this.latencies.push(answer.took);
    else this.errors += 1;
    if (!answer.pod) return;
    const pod = this.pods.get(answer.pod) ?? { count: 0, since: this.elapsed };
    this.pods.set(answer.pod, { ...pod, count: pod.count + 1 });
  }

  // The answers of the last WINDOW_MS, and how many seconds that is at the begin of a run.
  recent() {
    const now = performance.now();
    this.answers = this.answers.filter((answer) => now - answer.at <= WINDOW_MS);
    return { answers: this.answers, span: Math.min(WINDOW_MS, now - this.begun) / 1000 };
  }
}

export function quantile(sorted, q) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : null;
}
