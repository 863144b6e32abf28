// One temperature in two units: a change of the unit keeps the patient.

const RANGES = { F: [77, 113], C: [25, 45] };

export const celsius = (fahrenheit) => ((fahrenheit - 32) * 5) / 9;
const fahrenheit = (degrees) => (degrees * 9) / 5 + 32;
const tidy = (value) => String(Number(value.toFixed(2)));

export function setUpTemperature(input, select, hint) {
  // What was entered, and in which unit: going to and fro between units must not drift.
  let entered = null;
  let shown = select.value;

  function showHint() {
    shown = select.value;
    hint.textContent = `${RANGES[shown].join(" to ")} °${shown}`;
  }

  function convert() {
    if (input.value !== "") {
      entered ??= { text: input.value, unit: shown };
      const [low, high] = RANGES[entered.unit];
      const value = Number(entered.text);
      // 37 was never meant as °F: then the unit is being corrected, not changed.
      const same = entered.unit === select.value || value < low || value > high;
      const other = select.value === "C" ? celsius : fahrenheit;
      input.value = same ? entered.text : tidy(other(value));
    }
    showHint();
  }

  input.addEventListener("input", () => (entered = null));
  select.addEventListener("change", convert);
  showHint();
  return {
    set(value, unit) {
      entered = null;
      input.value = value;
      select.value = unit;
      showHint();
    },
  };
}
