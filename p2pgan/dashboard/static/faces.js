// The same latents at every version: one watches the faces emerge.

import { card, count, el, say } from "./dom.js";
import { ask, paced } from "./live.js";

const FRAME_MS = 180;

export function faces(run) {
  const picture = el("img", { class: "faces", alt: "Nothing was drawn yet", width: 512, height: 512, hidden: true });
  const blank = el("p", { class: "blank" }, "The first pictures come with the first versions.");
  const slider = el("input", { type: "range", min: 0, max: 0, value: 0, step: 1, "aria-label": "Version of the pictures", oninput: () => pick(Number(slider.value)) });
  const label = el("output", { class: "version", for: "" }, "");
  const button = (text, title, act) => el("button", { type: "button", title, "aria-label": title, onclick: act }, text);
  const play = button("▶", "Play from the first version", () => (timer === null ? start() : stop()));
  const newest = button("Newest", "Follow the newest version", () => { stop(); pick(versions.length - 1); });
  const node = card("Faces",
    el("div", { class: "frame" }, picture, blank),
    el("div", { class: "controls" }, play, slider, newest),
    el("p", { class: "hint" }, label));
  slider.disabled = play.disabled = newest.disabled = true;

  let versions = [];
  let shown = -1; // position in versions
  let timer = null;
  let known = null;

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

  picture.addEventListener("load", () => {
    picture.hidden = false;
    blank.hidden = true;
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
      if (overview.newest_sample !== known) {
        known = overview.newest_sample;
        read();
      }
    },
  };
}
