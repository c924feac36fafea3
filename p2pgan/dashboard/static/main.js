// One page, three faces: the list of runs, a run, a peer of a run. The address says which.

import { el, say } from "./dom.js";
import { ask, pulse, watch } from "./live.js";
import { runList } from "./runs.js";
import { runPage } from "./run.js";
import { peerPage } from "./peer.js";

const content = document.getElementById("content");
const crumbs = document.getElementById("crumbs");
const place = new URLSearchParams(location.search);

function notice(title, text) {
  content.replaceChildren(el("div", { class: "notice" }, el("h1", {}, title), el("p", {}, text)));
}

function crumb(text, address) {
  return el("a", { href: address }, text);
}

function showList() {
  const list = runList();
  content.replaceChildren(list.node);
  const look = async () => {
    try {
      const runs = await ask("/api/runs");
      pulse("live", "live");
      if (runs.length === 1 && !place.has("all")) location.replace(`/?run=${runs[0].id}`);
      else list.show(runs);
    } catch (error) {
      pulse("away", "the database is away");
      list.away(error.message);
    }
    setTimeout(look, 3000);
  };
  look();
}

function showRun(run, peer) {
  const page = peer === null ? runPage(run) : peerPage(run, peer);
  content.replaceChildren(page.node);
  let named = false;
  watch(
    run,
    (view) => {
      if (!named) {
        named = true;
        document.title = `${view.overview.name} – p2pgan`;
        crumbs.append(crumb("runs", "/?all=1"), crumb(view.overview.name, `/?run=${run}`));
      }
      page.show(view);
    },
    (reason) => notice("There is no such run", reason),
  );
  page.onName?.((name) => {
    if (crumbs.children.length === 2) crumbs.append(el("span", {}, name));
    else if (crumbs.children.length === 3) say(crumbs.children[2], name);
  });
}

const run = place.get("run");
if (run === null) showList();
else if (/^\d{1,15}$/.test(run)) showRun(run, place.get("peer"));
else notice("There is no such run", "Its number in the address is no number.");
