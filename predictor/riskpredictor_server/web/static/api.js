// Questions to the service, and every way to get no answer put into words.

const TIMEOUT_MS = 10000;

export class Refusal extends Error {
  constructor(message, errors = [], model = null) {
    super(message);
    this.errors = errors;
    this.model = model;
  }
}

async function exchange(path, options) {
  const signals = [AbortSignal.timeout(TIMEOUT_MS), options.signal].filter(Boolean);
  try {
    const response = await fetch(path, { ...options, signal: AbortSignal.any(signals) });
    return { response, text: await response.text() };
  } catch (error) {
    if (error.name === "TimeoutError") {
      throw new Refusal(`The service did not answer within ${TIMEOUT_MS / 1000} seconds. Try again.`);
    }
    throw new Refusal("The service did not answer. Is it still running? Try again.");
  }
}

// The decoded answer, the pod that gave it, and the version beside which its model is on trial, if it
// is. Raises Refusal, with one entry per bad field and the version of the model that refused.
export async function ask(path, options = {}) {
  const { response, text } = await exchange(path, options);
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    // A proxy's own error page, for example.
    throw new Refusal(`Something between this page and the service answered: HTTP ${response.status}.`);
  }
  if (!response.ok) {
    const model = response.headers.get("X-Model-Version");
    throw new Refusal(answer.detail ?? `HTTP ${response.status}`, answer.errors, model);
  }
  const [pod, stable] = ["X-Served-By", "X-Stable-Version"].map((name) => response.headers.get(name));
  return { answer, pod: pod ?? "an unnamed pod", stable };
}
