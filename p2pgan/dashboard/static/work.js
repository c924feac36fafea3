// The units of the current epoch as a field of cells.

import { card, count, counted, el, say } from "./dom.js";
import { ask, paced } from "./live.js";

export function work(run) {
  const head = el("p", { class: "epoch" }, "");
  const bar = el("progress", { max: 1, value: 0, "aria-label": "Share of the epoch that is done" });
  const field = el("div", { class: "cells", role: "img", "aria-label": "No epoch is open yet" });
  const key = el("p", { class: "key" },
    ...["done", "leased", "open"].map((state) => el("span", {}, el("i", { class: `cell ${state}` }), state === "leased" ? "handed out" : state)));
  const node = card("Work", head, bar, field, key);
  let epoch = 0;
  let units = "";

  const read = paced(async () => {
    const { cells, epoch: of } = await ask(`/api/runs/${run}/units`, { epoch });
    while (field.children.length > cells.length) field.lastChild.remove();
    while (field.children.length < cells.length) field.append(el("i", {}));
    field.classList.toggle("few", cells.length <= 120);
    let done = 0, leased = 0, all = 0;
    cells.forEach(([first, last, cellDone, cellLeased], index) => {
      const size = last - first + 1;
      [done, leased, all] = [done + cellDone, leased + cellLeased, all + size];
      const state = cellDone === size ? "done" : cellLeased > 0 ? "leased" : cellDone > 0 ? "begun" : "open";
      const cell = field.children[index];
      if (cell.className !== `cell ${state}`) cell.className = `cell ${state}`;
      const title = first === last ? `unit ${first}` : `units ${first} to ${last}`;
      if (cell.title !== title) cell.title = title;
    });
    const open = all - done - leased;
    const before = `${counted(of, "epoch")} done`;
    say(head, all ? `${before}; of epoch ${count(of)}, ${count(done)} of ${counted(all, "unit")}` : `${before}; epoch ${count(of)} begins`);
    bar.value = all ? done / all : 0;
    field.setAttribute("aria-label", `Epoch ${of}: ${done} units done, ${leased} handed out, ${open} open`);
  }, 1500);

  return {
    node,
    show({ status }) {
      const now = `${status.epoch} ${JSON.stringify(status.units)}`;
      if (now !== units) {
        [units, epoch] = [now, status.epoch];
        read();
      }
    },
  };
}
