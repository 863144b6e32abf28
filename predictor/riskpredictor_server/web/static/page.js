// The form. The service's answer is the only judge of what is valid.

import { ask } from "./api.js";
import { setUpCard } from "./card.js";
import { byId } from "./dom.js";
import { setUpLoad } from "./load.js";
import { clearResult, showResult } from "./result.js";
import { setUpTemperature } from "./temperature.js";

const form = byId("vitals");
const fields = [...form.querySelectorAll("[data-field]")];
const names = fields.map((field) => field.dataset.field);
const titles = Object.fromEntries(
  names.map((name) => [name, form.querySelector(`label[for=${name}]`).textContent]),
);
const unit = form.elements.temperature_unit;
const temperature = setUpTemperature(form.elements.temperature, unit, byId("temperature-hint"));
// The latest question. An answer to any other is about vital signs that the form no longer shows.
let asking = null;

function readForm() {
  const record = {};
  for (const name of names) {
    const { value } = form.elements[name];
    if (value !== "") record[name] = Number(value);
  }
  if (unit.value !== "F") record.temperature_unit = unit.value;
  return record;
}

function describe(record) {
  const parts = fields.map(({ dataset: { field, unit: own } }) =>
    `${titles[field].toLowerCase()} ${record[field]} ${field === "temperature" ? `°${unit.value}` : own}`);
  const text = parts.join(", ");
  return text[0].toUpperCase() + text.slice(1);
}

function showErrors(errors, detail = "") {
  const byField = new Map(errors.map((error) => [error.field, error.detail]));
  for (const name of names) {
    let text = byField.get(name) ?? "";
    // The browser hands out no value of "12e": to the service it was missing.
    if (form.elements[name].validity.badInput) text = text.replace(/^required/, "must be a number");
    form.querySelector(`[data-field=${name}]`).classList.toggle("bad", text !== "");
    form.elements[name].setAttribute("aria-invalid", String(text !== ""));
    // The service says how a program tells the unit.
    byId(`${name}-error`).textContent = text.replace(/say so with "temperature_unit": "(.)"/, "choose °$1");
  }
  const first = names.find((name) => byField.has(name));
  if (first) form.elements[first].focus();
  byId("form-error").textContent = first ? "" : detail;
  return first ? "Correct the marked vital signs, then predict again." : "The service gave no prediction.";
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
  const record = readForm();
  const patient = { titles, description: describe(record), unit: unit.value };
  let show;
  try {
    const { answer, pod } = await ask("predict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(record),
      signal: mine.signal,
    });
    show = () => {
      showErrors([]);
      showResult(answer, pod, patient);
    };
  } catch (refusal) {
    show = () => clearResult(showErrors(refusal.errors ?? [], refusal.message));
  }
  if (asking === mine) show();
}

form.addEventListener("submit", predict);
form.addEventListener("input", () => drop("The vital signs changed: predict again."));
for (const chip of document.querySelectorAll(".chip")) {
  chip.addEventListener("click", () => {
    const values = chip.dataset.vitals.split(",");
    names.forEach((name, index) => (form.elements[name].value = values[index]));
    temperature.set(form.elements.temperature.value, "F");
    form.requestSubmit();
  });
}
setUpCard();
setUpLoad();
for (const button of document.querySelectorAll(".chip, .primary, .load")) button.disabled = false;
