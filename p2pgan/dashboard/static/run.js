// A run's page: faces, tiles, curves, peers, work, events.

import { el } from "./dom.js";
import { curves } from "./curves.js";
import { events } from "./events.js";
import { faces } from "./faces.js";
import { peers } from "./peers.js";
import { tiles } from "./tiles.js";
import { work } from "./work.js";

export function runPage(run) {
  const drawn = curves(run);
  const parts = [tiles(), faces(run), drawn, peers(run), work(run), events(run)];
  const title = el("h1", { class: "visually-hidden" }, "A run of p2pgan");
  const node = el("div", { class: "page" }, title, ...parts.flatMap((part) => (part === drawn ? [drawn.node, drawn.health] : [part.node])));
  return {
    node,
    show(view) {
      for (const part of parts) part.show(view);
    },
  };
}
