// Elements and words. Text only ever becomes text: nothing here, or elsewhere, parses markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

export function pen() {
  const icon = document.createElementNS(SVG, "svg");
  icon.setAttribute("viewBox", "0 0 20 20");
  icon.setAttribute("class", "pen");
  icon.setAttribute("role", "img");
  icon.setAttribute("aria-label", "holds the pen");
  const title = document.createElementNS(SVG, "title");
  title.textContent = "holds the pen: plans the rounds and commits";
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", "M3 17l1-4.2L13.6 3.2a1.7 1.7 0 0 1 2.4 0l.8.8a1.7 1.7 0 0 1 0 2.4L7.2 16z");
  icon.append(title, path);
  return icon;
}

// Writes only what differs, so that a selection, a focus and a screen reader are left in peace.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value) => whole.format(value);
export const brief = (value) => (Math.abs(value) < 10_000 ? whole.format(value) : compact.format(value));
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
export const short = (key) => key.slice(0, 8);

export function fine(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 100) return whole.format(value);
  if (value !== 0 && Math.abs(value) < 0.1) return String(+value.toPrecision(2));
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

const SIZES = ["B", "kB", "MB", "GB"];

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  const scaled = value / 1000 ** size;
  return `${size && scaled < 100 ? +scaled.toPrecision(2) : Math.round(scaled)} ${SIZES[size]}`;
}

export function span(seconds) {
  if (seconds < 1) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export const ago = (seconds) => (seconds < 1 ? "just now" : `${span(seconds)} ago`);

export function clock(at) {
  const when = new Date(at * 1000);
  const today = new Date().toDateString() === when.toDateString();
  const time = when.toLocaleTimeString("en-GB");
  return today ? time : `${when.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

export const isHere = (peer) => ["joining", "active"].includes(peer.state) && peer.last_seen_s < 15;

// Who is here first; peer-2 before peer-10.
const { compare } = new Intl.Collator("en", { numeric: true });
export const inOrder = (peers) => [...peers].sort((a, b) => isHere(b) - isHere(a) || compare(a.name, b.name) || (a.id < b.id ? -1 : 1));

export function stateOf(peer) {
  if (peer.set_aside) return "set aside";
  if (["joining", "active"].includes(peer.state) && !isHere(peer)) return "silent";
  return peer.state;
}

export function card(title, ...children) {
  const id = `title-${title.toLowerCase().replace(/\W+/g, "-")}`;
  const heading = el("h2", { id }, title);
  return el("section", { class: `card ${id.replace("title", "card")}`, "aria-labelledby": id }, heading, ...children);
}
