// The demo's patients: each value drawn from what the model card says of the training records.
//
// Numbers drawn evenly from the accepted ranges would be patients that nobody has, and would raise
// the alert on input drift after every demo. Values are drawn independently of each other.

// Mulberry32: the same patients in every demo, so that two runs compare.
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// The index of a share, with the probability of that share.
function pick(shares, draw) {
  let left = draw() * shares.reduce((sum, share) => sum + share, 0);
  const found = shares.findIndex((share) => (left -= share) < 0);
  return found < 0 ? shares.findLastIndex((share) => share > 0) : found;
}

// A multiple of the step in a bin between deciles. The outer bins are wide, and most of their
// patients near the inner edge.
function numberIn(bin, { edges }, { minimum, maximum }, { step, type }, draw) {
  const isLast = bin === edges.length;
  const low = bin ? edges[bin - 1] : minimum;
  const high = isLast ? maximum : edges[bin];
  const first = Math.ceil(low / step - 1e-9);
  // A value at an edge belongs to the bin above it.
  const last = isLast ? Math.floor(high / step + 1e-9) : Math.ceil(high / step - 1e-9) - 1;
  if (last < first) return type === "integer" ? Math.ceil(low) : low;
  let share = draw();
  if (isLast) share *= share;
  else if (!bin) share = 1 - (1 - share) ** 2;
  const multiple = first + Math.min(last - first, Math.floor(share * (last - first + 1)));
  return Number((multiple * step).toPrecision(12));
}

function value(feature, { left_out: leftOut = 0, baseline, trained_on: span }, draw) {
  if (!feature.required && draw() < leftOut) return undefined;
  const index = pick(baseline.shares, draw);
  if (baseline.values) return baseline.values[index];
  return numberIn(index, baseline, span, feature, draw);
}

// So many patients; another seed, other patients. `features` are those of the form, `rows` those of
// the model card, in the same order.
export function patients(count, seed, features, rows) {
  const draw = random(seed);
  return Array.from({ length: count }, () =>
    Object.fromEntries(features.map((feature, index) => [feature.name, value(feature, rows[index], draw)])));
}
