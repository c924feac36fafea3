// The list of runs.

import { ago, brief, counted, el, say } from "./dom.js";

export function runList() {
  const list = el("div", { class: "runs" });
  const hint = el("p", { class: "hint" }, "Looking for runs …");
  const node = el("div", {}, el("h1", {}, "Runs"), hint, list);

  function line(run) {
    const picture = run.newest_sample === null
      ? el("div", { class: "blank", "aria-hidden": "true" })
      : el("img", { src: `/api/runs/${run.id}/samples/${run.newest_sample}.png`, alt: "", width: 132, height: 132 });
    const now = run.state === "finished" ? "finished" : run.peers ? `${counted(run.peers, "peer")} here` : "nobody is here";
    return el("a", { class: "card run", href: `/?run=${run.id}` },
      picture,
      el("div", {},
        el("h2", {}, run.name),
        el("p", { class: `state ${run.state === "finished" ? "left" : run.peers ? "active" : "silent"}` }, now),
        el("p", {}, `version ${run.version}, ${brief(run.images)} images of ${run.dataset ?? "a data set"}`),
        el("p", { class: "hint" }, `last commit ${ago(run.last_commit_age_s)}`)));
  }

  return {
    node,
    show(runs) {
      say(hint, runs.length ? "" : "There is no run yet: p2pgan lead creates one. This page will show it.");
      const focused = document.activeElement?.getAttribute("href");
      list.replaceChildren(...runs.map(line));
      if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    },
    away: (reason) => say(hint, reason),
  };
}
