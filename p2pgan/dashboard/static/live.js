// The line to this machine's server: answers to questions, and what is pushed.

import { say } from "./dom.js";

export async function ask(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, one);
    }
  }
  const answer = await fetch(`${path}?${query}`);
  const told = await answer.json().catch(() => ({ error: `the server answers ${answer.status}` }));
  if (!answer.ok) throw new Error(told.error);
  return told;
}

export function pulse(state, text) {
  document.getElementById("pulse").dataset.state = state;
  say(document.getElementById("pulse-text"), text);
}

// Calls `show` with every view of a run. What breaks is said in the corner and mends by itself.
export function watch(run, show, gone) {
  let since = null;
  const away = (reason) => {
    since ??= Date.now();
    pulse("away", `${reason}; trying again since ${Math.round((Date.now() - since) / 1000)} s`);
  };
  const open = () => {
    const stream = new EventSource(`/api/runs/${run}/stream`);
    stream.addEventListener("view", (event) => {
      since = null;
      const view = JSON.parse(event.data);
      pulse(view.overview.state === "finished" ? "over" : "live", view.overview.state === "finished" ? "finished" : "live");
      show(view);
    });
    stream.addEventListener("away", (event) => {
      away("the database is away");
      document.getElementById("pulse").title = JSON.parse(event.data);
    });
    stream.addEventListener("gone", (event) => {
      stream.close();
      pulse("over", "no such run");
      gone(JSON.parse(event.data));
    });
    stream.addEventListener("error", () => {
      away("this page's server is away");
      if (stream.readyState === EventSource.CLOSED) setTimeout(open, 2000);
    });
    addEventListener("pagehide", () => stream.close(), { once: true });
  };
  open();
}

// At most one call at a time, at least `pauseMs` apart; calls in between become one. Failures wait for the next.
export function paced(call, pauseMs) {
  let busy = false;
  let wanted = false;
  const go = async () => {
    if (busy) {
      wanted = true;
      return;
    }
    busy = true;
    wanted = false;
    await Promise.resolve(call()).catch(() => (wanted = true));
    setTimeout(() => {
      busy = false;
      if (wanted) go();
    }, pauseMs);
  };
  return go;
}
