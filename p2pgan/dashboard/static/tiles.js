// The numbers one looks at first.

import { ago, brief, count, el, isHere, pen, say } from "./dom.js";

export function tiles() {
  const tile = (name, wide = false) => {
    const value = el("dd", {}, "–");
    const note = el("dd", { class: "hint" }, "");
    return { node: el("div", { class: wide ? "tile wide" : "tile" }, el("dt", {}, name), value, note), value, note };
  };
  const version = tile("Version");
  const images = tile("Images counted");
  const speed = tile("Images per second");
  const leader = tile("The pen", true);
  const here = tile("Peers here");
  leader.value.replaceChildren(pen(), el("span", {}, "–"));
  const node = el("dl", { class: "tiles", "aria-label": "The run at this moment" },
    ...[version, images, speed, here, leader].map((each) => each.node));

  return {
    node,
    show({ status, overview, heir }) {
      say(version.value, count(status.committed_version));
      say(version.note, `committed ${ago(status.last_commit_age_s)}`);
      say(images.value, brief(status.images));
      say(images.note, `epoch ${count(status.epoch)} of ${overview.dataset ?? "the data"}`);
      say(speed.value, brief(status.images_per_s));
      const live = status.peers.filter(isHere);
      say(speed.note, live.length ? `${brief(status.images_per_s / live.length)} a peer` : "nobody trains");
      say(here.value, count(live.length));
      say(here.note, `of ${count(status.peers.length)} that ever came`);
      const name = (id) => status.peers.find((peer) => peer.id === id)?.name ?? "nobody";
      leader.value.firstChild.classList.toggle("idle", status.leader === null);
      say(leader.value.lastChild, status.leader === null ? "nobody" : name(status.leader));
      const next = heir === null ? "" : `, ${name(heir)} is next`;
      say(leader.note, `${overview.state === "finished" ? "the run is over, " : ""}term ${count(status.term)}${next}`);
    },
  };
}

