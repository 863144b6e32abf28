// The model card: what the model is, what it was trained on, how good it is.

import { ask } from "./api.js";
import { byId, drawing, element, percent } from "./dom.js";

function table(caption, head, rows) {
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
  box.setAttribute("aria-label", caption);
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

function tables(card) {
  const metrics = card.metrics;
  const levels = metrics.confusion.levels;
  const round = (value) => String(Math.round(value * 10) / 10);
  const span = (range) => `${round(range.minimum)} to ${round(range.maximum)}`;
  return [
    table("Inputs", ["Vital", "Unit", "Accepted", "Trained on", "Mean"], card.features.map((feature) => [
      feature.name, feature.unit, span(feature.accepted), span(feature.trained_on), round(feature.mean),
    ])),
    table(`Per level, on ${metrics.records} held-out records`, ["Level", "Precision", "Recall", "F1", "Records"],
      levels.map((level) => {
        const row = metrics.per_class[level];
        return [level, row.precision.toFixed(2), row.recall.toFixed(2), row.f1.toFixed(2), row.support];
      })),
    table("Confusion: how often each true level was predicted as each level", ["True level", ...levels],
      levels.map((level, row) => [level, ...metrics.confusion.counts[row]])),
  ];
}

async function showCard() {
  const body = byId("card-body");
  try {
    const { answer: card } = await ask("model");
    const metrics = card.metrics;
    body.replaceChildren(
      element("p", "", `Version ${card.model_version}: ${card.model_type}. Recipe: ${card.recipe.summary}.`),
      element("p", "", `${card.data.records} ${card.data.source} records. Held-out accuracy ` +
        `${percent(metrics.accuracy)}, Brier score ${metrics.brier.toFixed(3)}, calibration error ` +
        `${metrics.expected_calibration_error.toFixed(3)}. Intended use: ${card.intended_use}.`),
      ...tables(card),
      reliability(metrics.reliability, metrics.records),
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
