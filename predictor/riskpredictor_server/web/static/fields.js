// The fields of the form: one per feature of the record, of whatever type and unit.

import { form, schema, within } from "./schema.js";
import { setUpUnits } from "./units.js";

const YES_NO = { true: "yes", false: "no" };
// Of more fields than this, the result does not repeat the rest.
const MOST_WORDS = 16;

class Field {
  constructor(feature) {
    this.feature = feature;
    this.box = form.querySelector(`[data-field=${feature.name}]`);
    this.control = this.box.querySelector("[name]");
    this.error = this.box.querySelector(".error");
    const select = this.box.querySelector(`[name=${feature.name}_unit]`);
    if (select) this.units = setUpUnits(this.control, select, this.box.querySelector(".hint"), feature.units);
  }

  // The unit that is entered; undefined if the feature is no number.
  get unit() {
    return this.units?.unit ?? this.feature.units?.[0];
  }

  // As the record has it; undefined if nothing is entered.
  get value() {
    const { value } = this.control;
    if (value === "") return undefined;
    if (this.feature.type === "boolean") return value === "true";
    return this.feature.units ? Number(value) : value;
  }

  read(record) {
    const { value } = this;
    const { name, required, units } = this.feature;
    if (value !== undefined) record[name] = value;
    // The browser hands out no value of "12e". What need not be there would be taken for left out.
    else if (!required && this.control.validity.badInput) record[name] = "";
    // Of a required value that is missing, the service names the range in this unit.
    if (this.unit !== units?.[0] && (required || value !== undefined)) record[`${name}_unit`] = this.unit.name;
  }

  write(record) {
    const value = record[this.feature.name];
    const text = value === undefined || value === null ? "" : String(value);
    if (this.units) this.units.set(text, record[`${this.feature.name}_unit`] ?? this.feature.units[0].name);
    else this.control.value = text;
  }

  describe(title) {
    const { value } = this;
    if (value === undefined) return `${title} not given`;
    const unit = this.unit?.label ? ` ${this.unit.label}` : "";
    return `${title} ${this.feature.type === "boolean" ? YES_NO[value] : value}${unit}`;
  }

  // What the service says of a field, in the words of the form.
  show(detail) {
    let text = detail ?? "";
    if (this.control.validity.badInput && text) text = `must be a number, ${this.unit.span}`;
    if (!this.feature.units) text = text.replace(/^required, .*/, "required: choose one");
    this.box.classList.toggle("bad", text !== "");
    this.control.setAttribute("aria-invalid", String(text !== ""));
    // The service says how a program tells the unit.
    this.error.textContent = text.replace(/say so with "\w+": "([^"]+)"/, (_, name) => `choose ${this.label(name)}`);
  }

  label(unit) {
    return this.feature.units?.find(({ name }) => name === unit)?.label ?? unit;
  }
}

export const fields = schema.features.map((feature) => new Field(feature));

export function readRecord() {
  const record = {};
  for (const field of fields) field.read(record);
  return record;
}

export function writeRecord(record) {
  for (const field of fields) field.write(record);
}

// The record in words, in the units that were entered.
export function describeRecord() {
  const parts = fields.slice(0, MOST_WORDS).map((field, index) =>
    field.describe(index ? within(field.feature.title) : field.feature.title));
  if (fields.length > MOST_WORDS) parts.push(`and ${fields.length - MOST_WORDS} more`);
  return parts.join(", ");
}

// Marks the fields that are refused, and no others. Returns whether there were any.
export function showErrors(errors) {
  const byField = new Map(errors.map(({ field, detail }) => [field, detail]));
  for (const field of fields) field.show(byField.get(field.feature.name));
  const first = fields.find(({ feature }) => byField.has(feature.name));
  first?.control.focus();
  return first !== undefined;
}
