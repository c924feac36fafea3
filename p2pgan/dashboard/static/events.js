// What happened, in plain words, newest first.

import { card, clock, el } from "./dom.js";
import { ask, paced } from "./live.js";

export const KINDS = {
  pen: "pen", joined: "joined", left: "left", lost: "lost", "set aside": "set aside", away: "database away", rollback: "rolled back",
};

export function events(run, peer = null) {
  const words = el("input", { type: "search", placeholder: "Find words", "aria-label": "Find words in events", maxlength: 100, oninput: () => again() });
  const kind = el("select", { "aria-label": "Kind of event", onchange: () => again() }, el("option", { value: "" }, "all kinds"));
  const marks = el("input", { type: "checkbox", id: "marks-only", onchange: () => again() });
  const older = el("button", { type: "button", hidden: true, onclick: () => more() }, "Older");
  const list = el("ol", { class: "events" });
  const none = el("p", { class: "hint", hidden: true }, "Nothing like that happened.");
  const node = card("Events",
    el("div", { class: "filters" }, words, kind, el("label", { for: "marks-only" }, marks, "only who came, went and led")),
    list, none, older);
  let newest = null;
  let oldest = null;

  const filter = () => ({ words: words.value, kind: kind.value, peer, marks: marks.checked ? 1 : 0 });

  function line(event) {
    const who = event.peer === null ? null
      : el("a", { href: `/?run=${run}&peer=${encodeURIComponent(event.peer)}` }, event.name || event.peer.slice(0, 8));
    return el("li", { class: event.mark ? "mark" : "" },
      el("time", { datetime: new Date(event.at * 1000).toISOString() }, clock(event.at)),
      el("span", { class: "badge", "data-kind": event.kind }, KINDS[event.kind] ?? event.kind),
      el("span", { class: "text" }, who, who ? (event.mark ? " " : ": ") : null, event.text));
  }

  function settle(page) {
    oldest = page.events.at(-1)?.id ?? oldest;
    older.hidden = page.events.length < 200;
    none.hidden = list.children.length > 0;
    const known = new Set([...kind.options].map((option) => option.value));
    for (const each of page.kinds) if (!known.has(each)) kind.append(el("option", { value: each }, KINDS[each] ?? each));
  }

  const read = paced(async () => {
    const page = await ask(`/api/runs/${run}/events`, filter());
    list.replaceChildren(...page.events.map(line));
    settle(page);
  }, 1000);

  async function more() {
    const page = await ask(`/api/runs/${run}/events`, { ...filter(), before: oldest });
    list.append(...page.events.map(line));
    settle(page);
  }

  let typing = null;
  function again() {
    clearTimeout(typing);
    typing = setTimeout(read, 200);
  }

  return {
    node,
    show({ overview }) {
      // Someone who reads further down is not interrupted.
      if (overview.newest_event !== newest && list.scrollTop < 40 && list.children.length <= 200) {
        newest = overview.newest_event;
        read();
      }
    },
  };
}
