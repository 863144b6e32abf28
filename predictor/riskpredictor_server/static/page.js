// The form and its result. The server's answer is the only judge of what is valid.

import { showCard } from "./card.js";
import { bar, byId, element, percent } from "./dom.js";
import { setUpLoad } from "./load.js";

const LEVELS = ["Low", "Medium", "High"];
const form = byId("vitals");
const names = [...form.querySelectorAll("[data-field]")].map((field) => field.dataset.field);
const titles = Object.fromEntries(
  names.map((name) => [name, form.querySelector(`label[for=${name}]`).textContent]),
);

function readForm() {
  const record = {};
  const errors = [];
  for (const name of names) {
    const input = form.elements[name];
    if (input.validity.badInput) errors.push({ field: name, detail: "must be a number" });
    else if (input.value !== "") record[name] = Number(input.value);
  }
  if (form.elements.temperature_unit.value !== "F") {
    record.temperature_unit = form.elements.temperature_unit.value;
  }
  return { record, errors };
}

function showErrors(errors, detail = "") {
  const byField = new Map(errors.map((error) => [error.field, error.detail]));
  for (const name of names) {
    const text = byField.get(name) ?? "";
    form.querySelector(`[data-field=${name}]`).classList.toggle("bad", text !== "");
    form.elements[name].setAttribute("aria-invalid", String(text !== ""));
    byId(`${name}-error`).textContent = text;
  }
  // A result that does not belong to what the form says must not stay on the screen.
  if (errors.length || detail) {
    byId("result").hidden = true;
    byId("result-empty").hidden = false;
  }
  const first = names.find((name) => byField.has(name));
  if (first) form.elements[first].focus();
  byId("form-error").textContent = first ? "" : detail;
}

function showContributions(contributions) {
  const list = byId("contributions");
  byId("contributions-axis").hidden = !contributions;
  if (!contributions) {
    list.replaceChildren(element("li", "", "This model does not explain single vitals."));
    return;
  }
  const widest = Math.max(...Object.values(contributions).map(Math.abs), 1);
  list.replaceChildren(
    ...names.map((name) => {
      const amount = contributions[name];
      const signed = `${amount > 0 ? "+" : "−"}${Math.abs(amount).toFixed(1)}`;
      const item = bar(titles[name], Math.abs(amount) / widest / 2, signed, amount > 0 ? "up" : "down");
      item.querySelector(".fill").style[amount > 0 ? "left" : "right"] = "50%";
      item.append(element("span", "hidden", amount > 0 ? "raises the risk" : "lowers the risk"));
      return item;
    }),
  );
}

function showResult(answer, pod) {
  byId("result-empty").hidden = true;
  byId("result").hidden = false;
  byId("verdict").className = `verdict ${answer.risk_level}`;
  byId("level").textContent = answer.risk_level;
  byId("confidence").textContent = percent(answer.confidence);
  const { Low, High } = answer.probabilities;
  byId("needle").style.transform = `rotate(${70 * (High - Low)}deg)`;
  byId("probabilities").replaceChildren(
    ...LEVELS.map((level) => bar(level, answer.probabilities[level], percent(answer.probabilities[level]), level)),
  );
  showContributions(answer.contributions);
  byId("warnings").replaceChildren(
    ...answer.warnings.map((warning) => element("li", "", `${titles[warning.field]}: ${warning.detail}`)),
  );
  byId("meta").textContent =
    `Model ${answer.model_version}, answered by ${pod}, request ${answer.request_id}. ` +
    "Contributions are log-odds of High against Low.";
  // On a phone it is below the form.
  byId("result").scrollIntoView({ block: "nearest" });
}

async function predict(event) {
  event.preventDefault();
  const { record, errors } = readForm();
  if (errors.length) return showErrors(errors);
  const button = form.querySelector(".primary");
  button.disabled = true;
  try {
    const response = await fetch("predict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(record),
    });
    const answer = await response.json();
    if (response.ok) {
      showErrors([]);
      showResult(answer, response.headers.get("X-Served-By"));
    } else {
      showErrors(answer.errors ?? [], answer.detail);
    }
  } catch {
    showErrors([], "The service did not answer. Is it still running? Try again.");
  } finally {
    button.disabled = false;
  }
}

function showHints() {
  const celsius = form.elements.temperature_unit.value === "C";
  byId("temperature-hint").textContent = celsius ? "25 to 45 °C" : "77 to 113 °F";
}

form.addEventListener("submit", predict);
form.elements.temperature_unit.addEventListener("change", showHints);
for (const chip of document.querySelectorAll(".chip")) {
  chip.addEventListener("click", () => {
    chip.dataset.vitals.split(",").forEach((value, index) => (form.elements[names[index]].value = value));
    form.elements.temperature_unit.value = "F";
    showHints();
    form.requestSubmit();
  });
}
byId("card").addEventListener("toggle", showCard, { once: true });
setUpLoad();
