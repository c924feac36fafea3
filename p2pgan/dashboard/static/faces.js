// The same latents at every version: one watches the faces emerge.

import { card, count, el, say } from "./dom.js";
import { ask, paced } from "./live.js";

const FRAME_MS = 180;
const GAP = 2; // pixels between the images of a grid
const MOST_CLASSES = 64; // a grid has no more images

export function faces(run) {
  const picture = el("img", { class: "faces", alt: "Nothing was drawn yet", width: 512, height: 512, hidden: true });
  const blank = el("p", { class: "blank" }, "The first pictures come with the first versions.");
  const slider = el("input", { type: "range", min: 0, max: 0, value: 0, step: 1, "aria-label": "Version of the pictures", oninput: () => pick(Number(slider.value)) });
  const label = el("output", { class: "version", for: "" }, "");
  const button = (text, title, act) => el("button", { type: "button", title, "aria-label": title, onclick: act }, text);
  const play = button("▶", "Play from the first version", () => (timer === null ? start() : stop()));
  const newest = button("Newest", "Follow the newest version", () => { stop(); pick(versions.length - 1); });
  const ofClass = el("canvas", { class: "faces", role: "img", hidden: true });
  const choice = el("select", { id: "class", "aria-label": "Class of the pictures", onchange: () => filter() }, el("option", { value: "" }, "all"));
  const choices = el("label", { class: "filters", for: "class", hidden: true }, "Class", choice);
  const node = card("Faces",
    choices,
    el("div", { class: "frame" }, picture, ofClass, blank),
    el("div", { class: "controls" }, play, slider, newest),
    el("p", { class: "hint" }, label));
  slider.disabled = play.disabled = newest.disabled = true;

  let versions = [];
  let shown = -1; // position in versions
  let timer = null;
  let known = null;
  let side = 0; // pixels of one image
  let classes = 0;

  const address = (version) => `/api/runs/${run}/samples/${version}.png`;
  const atEnd = () => shown === versions.length - 1;

  function pick(position) {
    if (position < 0 || position >= versions.length) return;
    shown = position;
    const version = versions[position];
    slider.value = position;
    slider.setAttribute("aria-valuetext", `version ${version}`);
    newest.setAttribute("aria-pressed", String(atEnd()));
    say(label, `version ${count(version)}${atEnd() ? ", the newest" : ` of ${count(versions.at(-1))}`}`);
    picture.alt = `Samples of version ${version}, from the same latents as those of all other versions`;
    picture.dataset.version = version;
    picture.src = address(version);
  }

  function start() {
    if (atEnd()) pick(0);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Stop");
    const step = () => {
      if (atEnd()) return stop();
      pick(shown + 1);
      timer = setTimeout(() => (picture.complete ? step() : picture.addEventListener("load", step, { once: true })), FRAME_MS);
    };
    timer = setTimeout(step, FRAME_MS);
  }

  function stop() {
    clearTimeout(timer);
    timer = null;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play from the first version");
  }

  // Image i of a grid is of class i modulo their number: the others are left out.
  function filter() {
    const one = choice.value;
    ofClass.hidden = one === "";
    picture.hidden = one !== "";
    if (one === "") return;
    const columns = Math.round((picture.naturalWidth + GAP) / (side + GAP));
    const rows = Math.round((picture.naturalHeight + GAP) / (side + GAP));
    const chosen = [...Array(columns * rows).keys()].filter((each) => each % classes === Number(one));
    const across = Math.ceil(Math.sqrt(chosen.length));
    ofClass.width = across * (side + GAP) - GAP;
    ofClass.height = Math.ceil(chosen.length / across) * (side + GAP) - GAP;
    ofClass.setAttribute("aria-label", `${picture.alt}, class ${one} alone`);
    const place = (index, columns) => [(index % columns) * (side + GAP), Math.floor(index / columns) * (side + GAP)];
    const ink = ofClass.getContext("2d");
    chosen.forEach((each, index) => ink.drawImage(picture, ...place(each, columns), side, side, ...place(index, across), side, side));
  }

  function offer() {
    choices.hidden = classes < 2;
    while (choice.length - 1 < Math.min(classes, MOST_CLASSES)) choice.append(el("option", { value: choice.length - 1 }, String(choice.length - 1)));
  }

  picture.addEventListener("load", () => {
    blank.hidden = true;
    filter();
  });

  const read = paced(async () => {
    const told = (await ask(`/api/runs/${run}/samples`)).versions;
    const following = shown < 0 || (atEnd() && timer === null);
    const version = versions[shown];
    versions = told;
    slider.max = Math.max(0, versions.length - 1);
    slider.disabled = play.disabled = newest.disabled = versions.length < 2;
    if (following) pick(versions.length - 1);
    else pick(Math.max(0, versions.findLastIndex((each) => each <= version)));
  }, 1500);

  return {
    node,
    show({ overview }) {
      side = overview.resolution;
      classes = overview.classes;
      offer();
      if (overview.newest_sample !== known) {
        known = overview.newest_sample;
        read();
      }
    },
  };
}
