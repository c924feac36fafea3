// Who takes part: one row each, kept in place so that focus and selection stay.

import { ago, brief, bytes, card, count, counted, el, inOrder, isHere, pen, say, short, stateOf } from "./dom.js";

const COLUMNS = ["Peer", "State", "Images/s", "Share", "Bytes per round", "In hand", "Reached", "Last sign", "Version", "Device"];
const FEW = 12;

export function peers(run) {
  const body = el("tbody", {});
  const table = el("table", { class: "peers" },
    el("caption", { class: "visually-hidden" }, "Peers of the run"),
    el("thead", {}, el("tr", {}, ...COLUMNS.map((title) => el("th", { scope: "col" }, title)))), body);
  const everyone = el("input", { type: "checkbox", id: "everyone", onchange: () => last && show(last) });
  const choice = el("label", { class: "filters", for: "everyone" }, everyone, el("span", {}, ""));
  const node = card("Peers", choice, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of peers" }, table));
  const rows = new Map();
  let last = null;

  function meter(name) {
    const fill = el("i", {});
    const text = el("b", {}, "");
    return { node: el("td", { "data-label": name }, el("span", { class: "meter" }, text, el("span", { class: "track", "aria-hidden": "true" }, fill))), fill, text };
  }

  function row(id) {
    const link = el("a", { href: `/?run=${run}&peer=${encodeURIComponent(id)}` }, "");
    const extra = el("span", { class: "hint" }, short(id));
    const badge = el("span", { class: "state" }, "");
    const why = el("span", { class: "hint why" }, "");
    const speed = meter("Images/s");
    const share = meter("Share");
    const cells = COLUMNS.slice(4).map((title) => el("td", { "data-label": title }, ""));
    const mark = pen();
    const node = el("tr", {},
      el("th", { scope: "row" }, mark, link, " ", extra),
      el("td", { "data-label": "State" }, badge, why),
      speed.node, share.node, ...cells);
    return { node, link, badge, why, speed, share, cells, mark, extra };
  }

  function fillMeter(part, share, text) {
    part.fill.style.width = `${Math.round(100 * Math.min(1, share || 0))}%`;
    say(part.text, text);
  }

  function update(peer, parts, { status, overview, heir }, fastest, all) {
    const state = stateOf(peer);
    const leads = peer.id === status.leader;
    say(parts.link, peer.name);
    say(parts.extra, peer.id === heir ? `${short(peer.id)} · next` : short(peer.id));
    parts.mark.classList.toggle("absent", !leads);
    parts.mark.setAttribute("aria-hidden", String(!leads));
    parts.node.classList.toggle("leads", leads);
    parts.node.classList.toggle("gone", !isHere(peer));
    if (parts.badge.className !== `state ${state.replace(" ", "-")}`) parts.badge.className = `state ${state.replace(" ", "-")}`;
    say(parts.badge, state);
    const notes = [peer.set_aside, peer.offences ? counted(peer.offences, "offence") : ""];
    say(parts.why, notes.filter(Boolean).join("; "));
    fillMeter(parts.speed, peer.images_per_s / fastest, brief(peer.images_per_s));
    const part = (overview.shares[peer.id] ?? 0) / all;
    fillMeter(parts.share, part, `${Math.round(100 * (part || 0))} %`);
    const told = [
      peer.traffic ? `${bytes(peer.traffic.sent)} out, ${bytes(peer.traffic.received)} in` : "–",
      peer.spans ? counted(peer.spans, "span") : "–",
      !isHere(peer) ? "–" : peer.reached ? "yes" : "not yet",
      ago(peer.last_seen_s), count(peer.version), peer.device,
    ];
    told.forEach((text, index) => say(parts.cells[index], text));
    parts.cells[2].title = peer.reached || !isHere(peer) ? "" : "It has answered no plan of this term: is there a firewall?";
  }

  function show(view) {
    last = view;
    const { status, overview } = view;
    const gone = status.peers.filter((peer) => !isHere(peer));
    const hide = status.peers.length > FEW && !everyone.checked;
    choice.hidden = status.peers.length <= FEW || gone.length === 0;
    say(choice.lastChild, `also the ${count(gone.length)} who are not here`);
    const listed = inOrder(hide ? status.peers.filter(isHere) : status.peers);
    const fastest = Math.max(1e-9, ...status.peers.map((peer) => peer.images_per_s));
    const all = Object.values(overview.shares).reduce((sum, images) => sum + images, 0);
    const ids = new Set(listed.map((peer) => peer.id));
    for (const [id, parts] of rows) {
      if (!ids.has(id)) {
        parts.node.remove();
        rows.delete(id);
      }
    }
    listed.forEach((peer, index) => {
      if (!rows.has(peer.id)) rows.set(peer.id, row(peer.id));
      const parts = rows.get(peer.id);
      if (body.children[index] !== parts.node) body.insertBefore(parts.node, body.children[index] ?? null);
      update(peer, parts, view, fastest, all);
    });
  }

  return { node, show };
}
