// The result: the verdict, why, and for whom. It never outlives the vital signs that it is about.

import { bar, byId, element, percent } from "./dom.js";
import { celsius } from "./temperature.js";

const LEVELS = ["Low", "Medium", "High"];
const EFFECTS = { 1: "raises the risk", 0: "does not move the risk", "-1": "lowers the risk" };
const SIGNS = { 1: "+", 0: "", "-1": "−" };
const SIDES = { 1: "up", 0: "", "-1": "down" };

function say(level, text) {
  const known = LEVELS.includes(level);
  byId("verdict").className = `verdict ${known ? level : ""}`;
  byId("level").textContent = level;
  byId("level-noun").textContent = known ? " risk" : "";
  byId("confidence").textContent = text;
}

// Keeps its place on the page, so that nothing jumps when the next answer comes.
export function clearResult(text) {
  byId("result").classList.add("away");
  say("No result", text);
}

function contribution(title, amount, widest) {
  // As it is shown: a bar of nothing has no side.
  const rounded = Math.round(amount * 10) / 10;
  const sign = Math.sign(rounded) || 0;
  const text = `${SIGNS[sign]}${Math.abs(rounded).toFixed(1)}`;
  const item = bar(title, sign ? Math.abs(amount) / widest / 2 : 0, text, SIDES[sign]);
  item.querySelector(".fill").style[sign > 0 ? "left" : "right"] = "50%";
  item.append(element("span", "hidden", EFFECTS[sign]));
  return item;
}

function showContributions(contributions, titles) {
  const list = byId("contributions");
  byId("contributions-axis").hidden = !contributions;
  if (!contributions) {
    list.replaceChildren(element("li", "", "This model does not explain single vitals."));
    return;
  }
  const widest = Math.max(...Object.values(contributions).map(Math.abs), 1);
  list.replaceChildren(
    ...Object.entries(titles).map(([name, title]) => contribution(title, contributions[name], widest)),
  );
}

// In the unit that was entered, too: the service warns in °F.
function warningText({ detail, trained_on: span }, unit) {
  if (unit !== "C" || span?.unit !== "°F") return detail;
  const [low, high] = [span.minimum, span.maximum].map((value) => celsius(value).toFixed(1));
  return detail.replace("°F", `°F (${low} to ${high} °C)`);
}

// `patient` has the titles of the vitals by name, a description in words, and the unit.
export function showResult(answer, pod, patient) {
  const { titles } = patient;
  say(answer.risk_level, `${percent(answer.confidence)} confidence`);
  byId("patient").textContent = patient.description;
  const { Low, High } = answer.probabilities;
  byId("needle").style.transform = `rotate(${70 * (High - Low)}deg)`;
  byId("probabilities").replaceChildren(
    ...LEVELS.map((level) => bar(level, answer.probabilities[level], percent(answer.probabilities[level]), level)),
  );
  showContributions(answer.contributions, titles);
  byId("warnings").replaceChildren(
    ...answer.warnings.map((warning) =>
      element("li", "", `${titles[warning.field]}: ${warningText(warning, patient.unit)}`)),
  );
  byId("meta").textContent =
    `Model ${answer.model_version}, answered by ${pod}, request ${answer.request_id}. ` +
    "Contributions are log-odds of High against Low.";
  const result = byId("result");
  result.hidden = false;
  result.classList.remove("away");
  // On a phone it is below the form.
  byId("result-panel").scrollIntoView({ block: "nearest" });
}
