// A number in one of several units: a change of the unit keeps the patient.
//
// A value x in a unit is x * scale + offset in the feature's own, and scale is the ratio of two
// whole numbers: the steps of Unit in model/schema.py, so that page and service agree to the digit.

const toOwn = (value, { ratio: [numerator, denominator], offset }) => (value * numerator) / denominator + offset;
const fromOwn = (value, { ratio: [numerator, denominator], offset }) => ((value - offset) * denominator) / numerator;

export const convert = (value, from, to) => (from === to ? value : fromOwn(toOwn(value, from), to));

// How many decimals leave so many digits.
const decimals = (value, digits) =>
  value ? Math.min(20, Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))))) : 0;

// At least two decimals, and four digits of what is small.
const tidy = (value) => Number(value.toFixed(Math.max(2, decimals(value, 4))));

// For people: at least one decimal, and two digits of what is small.
export const rough = (value) => value.toFixed(Math.max(1, decimals(value, 2)));

// Rounding must not push a value out of what is accepted.
function within(value, { minimum, maximum }) {
  const rounded = tidy(value);
  return value < minimum || value > maximum ? rounded : Math.min(maximum, Math.max(minimum, rounded));
}

// Lets a select change the unit of an input; returns the unit at present and a setter.
export function setUpUnits(input, select, hint, units) {
  const chosen = () => units.find(({ name }) => name === select.value);
  // What was entered, and in which unit: going to and fro between units must not drift.
  let entered = null;
  let shown = chosen();

  function showHint() {
    shown = chosen();
    hint.textContent = shown.span;
  }

  function change() {
    if (input.value !== "") {
      entered ??= { text: input.value, unit: shown };
      const { text, unit } = entered;
      const value = Number(text);
      // 37 was never meant as °F: then the unit is being corrected, not changed.
      const same = unit === chosen() || value < unit.minimum || value > unit.maximum;
      input.value = same ? text : String(within(convert(value, unit, chosen()), chosen()));
    }
    showHint();
  }

  input.addEventListener("input", () => (entered = null));
  select.addEventListener("change", change);
  showHint();
  return {
    get unit() {
      return chosen();
    },
    set(value, name) {
      entered = null;
      input.value = value;
      select.value = name;
      showHint();
    },
  };
}
