// The numbers one looks at first.

import { ago, brief, bytes, count, el, fine, isHere, pen, say } from "./dom.js";

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
  const wire = tile("Bytes per round");
  const score = tile("Score (FID)");
  score.node.hidden = true;
  leader.value.replaceChildren(pen(), el("span", {}, "–"));
  const node = el("dl", { class: "tiles", "aria-label": "The run at this moment" },
    ...[version, images, speed, here, wire, score, leader].map((each) => each.node));

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
      say(wire.value, bytes(status.traffic?.sent));
      say(wire.note, status.traffic ? `sent; ${bytes(status.traffic.received)} received` : "nobody told yet");
      const last = status.scores.at(-1);
      score.node.hidden = last === undefined;
      if (last !== undefined) {
        const best = status.best_version ?? last.version;
        say(score.value, fine(last.fid));
        say(score.note, best === last.version ? `version ${count(last.version)}, the best` : `best: version ${count(best)}`);
        score.node.title = `How far drawn images of version ${count(last.version)} are from real ones: lower is better. The floor is ${fine(last.floor)}.`;
      }
      const name = (id) => status.peers.find((peer) => peer.id === id)?.name ?? "nobody";
      leader.value.firstChild.classList.toggle("idle", status.leader === null);
      say(leader.value.lastChild, status.leader === null ? "nobody" : name(status.leader));
      const next = heir === null ? "" : `, ${name(heir)} is next`;
      say(leader.note, `${overview.state === "finished" ? "the run is over, " : ""}term ${count(status.term)}${next}`);
    },
  };
}

