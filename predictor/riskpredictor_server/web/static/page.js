// The form. The service's answer is the only judge of what is valid.

import { ask } from "./api.js";
import { setUpCard } from "./card.js";
import { byId } from "./dom.js";
import { describeRecord, fields, readRecord, showErrors, writeRecord } from "./fields.js";
import { setUpLoad } from "./load.js";
import { clearResult, isAnswer, showResult } from "./result.js";
import { form, schema } from "./schema.js";

const inputs = schema.title.toLowerCase();
const names = new Set(fields.map(({ feature }) => feature.name));
// The latest question. An answer to any other is about values that the form no longer shows.
let asking = null;

// A roll-out may have put another model behind this page, with a record of its own.
function changedTo(model) {
  return `The service now answers with model ${model}, which asks for other inputs. Reload this page.`;
}

function isForeign(refusal) {
  return refusal.model && refusal.model !== schema.version &&
    refusal.errors.some(({ field, problem }) => !names.has(field) || problem === "unknown_field");
}

function refuse(refusal) {
  const errors = refusal.errors ?? [];
  if (isForeign(refusal)) return fail(changedTo(refusal.model));
  if (!showErrors(errors)) return fail(refusal.message);
  byId("form-error").textContent = "";
  clearResult(`Correct the marked ${inputs}, then predict again.`);
}

function fail(text) {
  showErrors([]);
  byId("form-error").textContent = text;
  clearResult("The service gave no prediction.");
}

function drop(text) {
  asking?.abort();
  asking = null;
  clearResult(text);
}

async function predict(event) {
  event.preventDefault();
  drop("Asking the service…");
  const mine = new AbortController();
  asking = mine;
  const description = describeRecord();
  let show;
  try {
    const { answer, pod, stable } = await ask("predict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(readRecord()),
      signal: mine.signal,
    });
    show = () => {
      if (!isAnswer(answer, stable)) return fail(changedTo(answer.model_version));
      showErrors([]);
      byId("form-error").textContent = "";
      showResult(answer, pod, stable, description);
    };
  } catch (refusal) {
    show = () => refuse(refusal);
  }
  if (asking === mine) show();
}

form.addEventListener("submit", predict);
form.addEventListener("input", () => drop(`The ${inputs} changed: predict again.`));
for (const chip of document.querySelectorAll(".chip")) {
  chip.addEventListener("click", () => {
    writeRecord(JSON.parse(chip.dataset.record));
    form.requestSubmit();
  });
}
setUpCard();
setUpLoad();
for (const button of document.querySelectorAll(".chip, .primary, .load")) button.disabled = false;
