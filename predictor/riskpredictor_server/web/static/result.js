// The result: the verdict, why, and for whom. It never outlives the values that it is about.

import { bar, byId, element, percent } from "./dom.js";
import { fields } from "./fields.js";
import { schema } from "./schema.js";
import { convert, rough } from "./units.js";

const { levels, noun, title } = schema;
const last = levels.length - 1;
// Degrees from the middle of the gauge to where the needle points if the highest level is certain.
const WIDEST = Math.max(70, 90 - 90 / levels.length);
// Of more contributions than this, the largest come first and the others are folded away.
const MANY = 12;
const SHOWN = 10;
const EFFECTS = { 1: "raises the risk", 0: "does not move the risk", "-1": "lowers the risk" };
const SIGNS = { 1: "+", 0: "", "-1": "−" };
const SIDES = { 1: "up", 0: "", "-1": "down" };

function say(level, text) {
  const index = levels.findIndex(({ name }) => name === level);
  const known = index >= 0;
  byId("verdict").className = known ? `verdict known ${levels[index].shade}` : "verdict";
  byId("level").textContent = level;
  byId("level-noun").textContent = known ? noun : "";
  // What a level means shows in its name, or else in its place among the others.
  byId("confidence").textContent = known && !noun ? `level ${index + 1} of ${levels.length}, ${text}` : text;
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

function showContributions(contributions) {
  const list = byId("contributions");
  byId("contributions-axis").hidden = !contributions;
  if (!contributions) {
    list.replaceChildren(element("li", "", `This model does not explain single ${title.toLowerCase()}.`));
    return;
  }
  const widest = Math.max(...Object.values(contributions).map(Math.abs), 1);
  const titles = new Map(fields.map(({ feature }) => [feature.name, feature.title]));
  // A model on trial may have features of its own, which this page does not ask for.
  const names = [...titles.keys(), ...Object.keys(contributions).filter((name) => !titles.has(name))];
  const rows = names.map((name) => ({ title: titles.get(name) ?? name, amount: contributions[name] }));
  if (rows.length > MANY) rows.sort((a, b) => Math.abs(b.amount) - Math.abs(a.amount));
  const items = rows.map((row) => contribution(row.title, row.amount, widest));
  const shown = rows.length > MANY ? SHOWN : rows.length;
  list.replaceChildren(...items.slice(0, shown), ...folded(items.slice(shown)));
}

function folded(items) {
  if (!items.length) return [];
  const details = element("details");
  const list = element("ul", "shares");
  list.append(...items);
  details.append(element("summary", "", `${items.length} smaller ones`), list);
  const row = element("li", "rest");
  row.append(details);
  return [row];
}

// In the unit that was entered, too: the service warns in the feature's own.
function warningText({ detail, trained_on: span }, { feature, unit }) {
  const own = feature.units?.[0];
  if (unit === own || span?.unit !== own.label) return detail;
  const [low, high] = [span.minimum, span.maximum].map((value) => rough(convert(value, own, unit)));
  return detail.replace(own.label, () => `${own.label} (${low} to ${high} ${unit.label})`);
}

function showWarnings(warnings) {
  const byName = new Map(fields.map((field) => [field.feature.name, field]));
  byId("warnings").replaceChildren(
    ...warnings.map((warning) => {
      const field = byName.get(warning.field);
      // A model that answers without contributions may, in a roll-out, warn of a field that is not here.
      if (!field) return element("li", "", `${warning.field}: ${warning.detail}`);
      return element("li", "", `${field.feature.title}: ${warningText(warning, field)}`);
    }),
  );
}

// Whether an answer is about the record and the levels that this page knows. A model on trial beside
// the one of this page takes its records, and may have more features.
export function isAnswer({ probabilities, contributions }, stable) {
  const has = (object, names) => names.every((name) => name in object);
  const same = (object, names) => Object.keys(object).length === names.length && has(object, names);
  const known = stable === schema.version ? has : same;
  return same(probabilities, levels.map(({ name }) => name)) &&
    (!contributions || known(contributions, fields.map(({ feature }) => feature.name)));
}

function showMeta(answer, pod, stable) {
  const trial = `Answered by ${answer.model_version}, which is on trial beside ${stable}.`;
  byId("meta").replaceChildren(
    ...(stable ? [element("span", "trial", trial)] : []),
    `Model ${answer.model_version}, answered by ${pod}, request ${answer.request_id}. ` +
      `Contributions are log-odds of ${levels[last].name} against ${levels[0].name}.`,
  );
}

export function showResult(answer, pod, stable, description) {
  say(answer.risk_level, `${percent(answer.confidence)} confidence`);
  byId("patient").textContent = description;
  // The expected level, on a scale from -1, the lowest, to 1.
  const expected = levels.reduce((sum, { name }, index) => sum + answer.probabilities[name] * ((2 * index) / last - 1), 0);
  byId("needle").style.transform = `rotate(${WIDEST * expected}deg)`;
  byId("probabilities").replaceChildren(
    ...levels.map(({ name, shade }) => bar(name, answer.probabilities[name], percent(answer.probabilities[name]), shade)),
  );
  showContributions(answer.contributions);
  showWarnings(answer.warnings);
  showMeta(answer, pod, stable);
  const result = byId("result");
  result.hidden = false;
  result.classList.remove("away");
  const panel = byId("result-panel");
  panel.scrollTop = 0;
  // On a phone it is below the form.
  panel.scrollIntoView({ block: "nearest" });
}
