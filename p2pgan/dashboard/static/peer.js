// A peer's own page: what it did, its curves beside the mean, what happened to it.

import { ago, brief, bytes, clock, count, counted, el, isHere, pen, say, short, stateOf } from "./dom.js";
import { curves } from "./curves.js";
import { events } from "./events.js";
import { ask, paced } from "./live.js";

export function peerPage(run, id) {
  const name = el("h1", {}, short(id));
  const mark = pen();
  const badge = el("span", { class: "state" }, "");
  const facts = el("dl", { class: "tiles" });
  const drawn = curves(run, id);
  const heard = events(run, id);
  const values = new Map();
  const node = el("div", { class: "page one" }, el("div", { class: "who" }, mark, name, badge, el("code", {}, id)), facts, drawn.node, drawn.health, heard.node);
  let version = null;
  let named = () => {};

  function fact(title, text) {
    if (!values.has(title)) {
      const value = el("dd", {}, "");
      values.set(title, value);
      facts.append(el("div", { class: "tile" }, el("dt", {}, title), value));
    }
    say(values.get(title), text);
  }

  const read = paced(async () => {
    const told = await ask(`/api/runs/${run}/peer`, { id });
    fact("Images counted", brief(told.images));
    fact("Versions", `${count(told.versions)} with it, ${count(told.versions_led)} led`);
    fact("First joined", clock(told.joined_at));
  }, 10_000); // they are counted over the whole history

  return {
    node,
    onName: (call) => (named = call),
    show(view) {
      const peer = view.status.peers.find((each) => each.id === id);
      if (!peer) {
        say(name, "This run has no such peer");
        return;
      }
      say(name, peer.name);
      document.title = `${peer.name} – ${view.overview.name} – p2pgan`;
      named(peer.name);
      mark.classList.toggle("absent", id !== view.status.leader);
      badge.className = `state ${stateOf(peer).replace(" ", "-")}`;
      say(badge, stateOf(peer));
      const all = Object.values(view.overview.shares).reduce((sum, images) => sum + images, 0);
      fact("Images per second", brief(isHere(peer) ? peer.images_per_s : 0));
      fact("Share of the work", `${Math.round((100 * (view.overview.shares[id] ?? 0)) / (all || 1))} %`);
      fact("Bytes per round", peer.traffic ? `${bytes(peer.traffic.sent)} out, ${bytes(peer.traffic.received)} in` : "–");
      fact("In hand", peer.spans ? counted(peer.spans, "span") : "nothing");
      fact("Reached", isHere(peer) ? (peer.reached ? "yes" : "not yet") : "–");
      fact("Last sign", ago(peer.last_seen_s));
      fact("Device", peer.device);
      fact("Offences", count(peer.offences) + (peer.set_aside ? `; ${peer.set_aside}` : ""));
      if (view.status.committed_version !== version) {
        version = view.status.committed_version;
        read();
      }
      drawn.show(view);
      heard.show(view);
    },
  };
}
