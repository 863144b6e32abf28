// The model card: what the model is, what it was trained on, how good it is.

import { ask } from "./api.js";
import { byId, drawing, element, percent } from "./dom.js";
import { schema } from "./schema.js";

// Regions of a page have names of their own: `label`, if there may be another of the same caption.
function table(caption, head, rows, label = caption) {
  const node = element("table");
  node.append(element("caption", "", caption));
  const headRow = node.createTHead().insertRow();
  head.forEach((text, column) => {
    const cell = element("th", column ? "n" : "", text);
    cell.scope = "col";
    headRow.append(cell);
  });
  const body = node.createTBody();
  for (const [name, ...values] of rows) {
    const row = body.insertRow();
    const cell = element("th", "", name);
    cell.scope = "row";
    row.append(cell, ...values.map((value) => element("td", "n", String(value))));
  }
  const box = element("div", "scroll");
  // Wide tables scroll on a phone: by keyboard too.
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", label);
  box.append(node);
  return box;
}

// Does the confidence come true? On the diagonal it does exactly; a point is as large as its group.
function reliability(bins, records) {
  const at = (share) => (100 * share).toFixed(1);
  const points = bins.map((bin) => drawing("circle", {
    cx: at(bin.mean_confidence), cy: at(1 - bin.accuracy), r: (1.5 + 4 * Math.sqrt(bin.records / records)).toFixed(1),
  }));
  const label = (x, y, text) => drawing("text", { x, y }, text);
  const plot = drawing("svg", {
    viewBox: "-14 -6 122 122", class: "reliability", role: "img",
    "aria-label": "Reliability: share of right answers over confidence; the table has the figures",
  },
  drawing("path", { class: "frame", d: "M0 0V100H100" }), drawing("path", { class: "ideal", d: "M0 100L100 0" }),
  ...points, label(38, 109, "confidence"), label(3, 6, "right"), label(-5, 109, "0"), label(93, 109, "1"), label(-6, 4, "1"));
  const range = (bin) => `${Math.round(100 * bin.from)} to ${Math.round(100 * bin.to)} %`;
  const figures = table(
    "Reliability: of the answers with this confidence, how many are right?",
    ["Confidence", "Mean", "Right", "Records"],
    bins.map((bin) => [range(bin), percent(bin.mean_confidence), percent(bin.accuracy), bin.records]),
  );
  const both = element("div", "beside");
  both.append(figures, plot);
  return both;
}

// One decimal, and three digits of what is small.
const round = (value) =>
  String(Math.abs(value) < 10 ? Number(value.toPrecision(3)) : Math.round(value * 10) / 10);
const span = ({ minimum, maximum }) => `${round(minimum)} to ${round(maximum)}`;
const choice = (value) => (typeof value === "boolean" ? (value ? "yes" : "no") : String(value));
const shares = ({ values, shares: each }) =>
  values.map((value, index) => `${choice(value)} ${percent(each[index])}`).join(", ");

const between = (interval, text) => (interval ? ` (${text(interval[0])} to ${text(interval[1])})` : "");
const fixed = (digits) => (value) => value.toFixed(digits).replace("-", "−");

// The columns of the table of features; those of a later line only if a feature has something there.
const COLUMNS = [
  ["Unit", (row) => row.unit ?? ""],
  ["Accepted", (row) => (row.baseline?.values ? row.baseline.values.map(choice).join(", ") : span(row.accepted ?? row))],
  ["Trained on", (row) => (row.baseline?.values ? shares(row.baseline) : span(row.trained_on))],
  ["Mean", (row) => (row.mean === undefined ? "" : round(row.mean))],
];
const MORE_COLUMNS = [
  ["Left out", (row) => (row.left_out === undefined ? "" : percent(row.left_out).replaceAll(" ", "\u00a0"))],
  ["Scored instead", (row) => (row.fill === undefined || row.fill === null ? "" : choice(row.fill))],
  ["Risk", ({ monotone }) => (monotone ? `${monotone.declared}: ${monotone.holds ? "holds" : "does not hold"}` : "")],
];

function features(rows) {
  const columns = [...COLUMNS, ...MORE_COLUMNS.filter(([, text]) => rows.some((row) => text(row)))];
  return table("Inputs", [schema.title, ...columns.map(([name]) => name)],
    rows.map((row) => [row.name, ...columns.map(([, text]) => text(row))]), "Inputs of the model");
}

// What a model does that its schema says no model of it should do.
function broken(rows) {
  const list = element("ul", "warnings");
  list.append(...rows.filter(({ monotone }) => monotone && !monotone.holds).map(({ name, monotone }) =>
    element("li", "", `Risk of ${name} was declared as ${monotone.declared}, and that does not hold: ${monotone.detail}`)));
  return list;
}

function tables({ features: rows, levels: all, metrics }) {
  const found = [features(rows), broken(rows)];
  if (metrics?.per_class) {
    found.push(table(`Per level, on ${metrics.records} held-out records`, ["Level", "Precision", "Recall", "F1", "Records"],
      all.filter((level) => level in metrics.per_class).map((level) => {
        const row = metrics.per_class[level];
        const recall = row.recall.toFixed(2) + between(metrics.intervals?.recall?.[level], fixed(2));
        return [level, row.precision.toFixed(2), recall, row.f1.toFixed(2), row.support];
      })));
  }
  if (metrics?.confusion) {
    const { levels, counts } = metrics.confusion;
    found.push(table("Confusion: how often each true level was predicted as each level", ["True level", ...levels],
      levels.map((level, row) => [level, ...counts[row]])));
  }
  return found;
}

// Figures with their intervals; those that a card lacks are left out.
function figures(metrics) {
  const { intervals = {}, calibration } = metrics;
  const figure = (name, value, interval, text) =>
    typeof value === "number" ? [`${name} ${text(value)}${between(interval, text)}`] : [];
  const all = [
    ...figure("Held-out accuracy", metrics.accuracy, intervals.accuracy, percent),
    ...figure("Brier score", metrics.brier, null, fixed(3)),
    ...figure("calibration error", metrics.expected_calibration_error, intervals.expected_calibration_error, fixed(3)),
  ];
  const line = [
    ...figure("intercept", calibration?.intercept, intervals.calibration_intercept, fixed(2)),
    ...figure("slope", calibration?.slope, intervals.calibration_slope, fixed(2)),
  ];
  return [
    all.length && `${all.join(", ")}.`,
    line.length && `Calibration of ${calibration.of}: ${line.join(", ")}; 0 and 1 are right.`,
    intervals.method && `In parentheses: ${Math.round(100 * intervals.level)} % intervals (${intervals.method}).`,
  ];
}

// What a card says in sentences; parts that it lacks are left out.
function sentences({ model_version: version, model_type: kind, recipe, data, metrics, intended_use: use }) {
  return [
    [`Version ${version}${kind ? `: ${kind}` : ""}.`, recipe?.summary && `Recipe: ${recipe.summary}.`],
    [data?.records && `${data.records} ${data.source} records.`, ...figures(metrics ?? {}), use && `Intended use: ${use}.`],
  ].map((parts) => parts.filter(Boolean).join(" "));
}

async function showCard() {
  const body = byId("card-body");
  try {
    const { answer: card } = await ask("model");
    const { metrics } = card;
    body.replaceChildren(
      ...sentences(card).map((text) => element("p", "", text)),
      ...tables(card),
      ...(metrics?.reliability?.length ? [reliability(metrics.reliability, metrics.records)] : []),
      element("p", "meta", `scorer.json SHA-256 ${card.files["scorer.json"] ?? "none"}`),
    );
    return true;
  } catch (error) {
    body.replaceChildren(element("p", "error", `The model card could not be read: ${error.message}`));
    return false;
  }
}

// Read when first opened; after a failure, again at the next opening.
export function setUpCard() {
  const card = byId("card");
  let shown = false;
  card.addEventListener("toggle", async () => {
    if (card.open && !shown) shown = await showCard();
  });
}
