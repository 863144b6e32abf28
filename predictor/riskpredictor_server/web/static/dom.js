// The few DOM helpers that the page's modules share.

export const byId = (id) => document.getElementById(id);

export function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== "") node.textContent = text;
  return node;
}

export function drawing(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Never "100 %" or "0 %" of a probability: a model is never certain.
export function percent(share) {
  if (share > 0.999 && share < 1) return "> 99.9 %";
  if (share < 0.001 && share > 0) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}

// A named bar: <li> with name, track and value. `share` is 0 to 1.
export function bar(name, share, value, className = "") {
  const item = element("li");
  const track = element("div", "track");
  const fill = element("div", `fill ${className}`);
  fill.style.width = `${100 * share}%`;
  track.append(fill);
  item.append(element("span", "name", name), track, element("span", "value", value));
  return item;
}
