// Curves over versions, with marks of what happened. The database thins them out; zooming asks anew.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { card, count, el, fine, isHere, say } from "./dom.js";
import { KINDS } from "./events.js";
import { ask, paced } from "./live.js";
import { GROUPS } from "./plots.js";

const MOST_PEERS = 6;
const NEAR_PX = 7;
const SPANS = [["Whole run", 0], ["Last 1,000", 1000], ["Last 100", 100]];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function curves(run, only = null) {
  let part = { first: 0, last: null, recent: 0 };
  let head = 0;
  let seen = "";
  let told = null;
  let names = new Map();
  let bounds = [0, 1];
  const picked = new Set(only === null ? [] : [only]);
  const spans = el("div", { class: "choices", role: "group", "aria-label": "Part of the run" },
    ...SPANS.map(([text, recent]) => el("button", { type: "button", "data-recent": recent, onclick: () => zoom(0, null, recent) }, text)));
  const zoomed = el("span", { class: "hint", role: "status" }, "");
  const chips = el("div", { class: "choices peers-drawn", role: "group", "aria-label": "Peers drawn beside the mean" });
  const key = el("p", { class: "key marks" }, ...Object.entries(KINDS).map(([kind, text]) => el("span", {}, el("i", { "data-kind": kind }), text)));
  const pointed = el("p", { class: "pointed", "aria-live": "polite" }, "");
  const groups = GROUPS.map(({ title, plots }) => ({ title, plots: plots.map((plot) => plotted(plot)) }));
  const plots = groups.flatMap((group) => group.plots);
  const none = el("p", { class: "hint" }, "Curves begin with the first version.");
  const node = card("Curves",
    el("div", { class: "filters" }, spans, zoomed), only === null ? chips : null, none,
    pointed, ...groups.flatMap((group) => [el("h3", {}, group.title), el("div", { class: "plots" }, ...group.plots.map((plot) => plot.node))]), key);
  point(null, []);

  function zoom(first, last, recent = 0) {
    part = { first, last, recent };
    settle();
    read();
  }

  // What is under the pointer, said once for all curves.
  function point(version, marks) {
    if (version === null) {
      pointed.replaceChildren("Point at a curve for its values, drag over it to look closer, double-click for all of it.");
      return;
    }
    const said = marks.map((mark) => {
      const others = mark.number > 1 ? ` and ${mark.number - 1} more like it` : "";
      return el("span", { class: "what", "data-kind": mark.kind }, `${mark.name} ${mark.text}${others}`);
    });
    pointed.replaceChildren(el("b", {}, `version ${count(version)}`), ...said);
  }

  function settle() {
    for (const button of spans.children) {
      const on = part.last === null && Number(button.dataset.recent) === part.recent;
      button.setAttribute("aria-pressed", String(on));
    }
    say(zoomed, part.last === null ? "" : `versions ${count(part.first)} to ${count(part.last)}`);
  }

  const read = paced(async () => {
    const width = Math.max(200, Math.round(node.clientWidth / 2));
    const first = part.recent ? Math.max(0, head - part.recent) : part.first;
    told = await ask(`/api/runs/${run}/curves`, { first, last: part.last, points: Math.min(1000, width), peer: [...picked] });
    draw();
  }, 2500);

  function draw() {
    if (told === null) return;
    const empty = !told.mean.version?.length;
    none.hidden = !empty;
    const versions = [told.mean, told.peers, told.scores].flatMap((rows) => rows.version ?? []);
    bounds = versions.reduce(([low, high], version) => [Math.min(low, version), Math.max(high, version)], [Infinity, -Infinity]);
    for (const plot of plots) plot.draw(told);
  }

  function toggle(id) {
    if (picked.has(id)) picked.delete(id);
    else if (picked.size < MOST_PEERS) picked.add(id);
    chipsOf(names);
    read();
  }

  function chipsOf(all) {
    const known = new Map([...chips.children].map((chip) => [chip.dataset.peer, chip]));
    for (const [id, chip] of known) if (!all.has(id)) chip.remove();
    for (const [id, name] of all) {
      const chip = known.get(id) ?? el("button", { type: "button", "data-peer": id, onclick: () => toggle(id) }, name);
      if (!known.has(id)) chips.append(chip);
      say(chip, name);
      const position = [...picked].indexOf(id);
      chip.setAttribute("aria-pressed", String(position >= 0));
      chip.disabled = position < 0 && picked.size >= MOST_PEERS;
      chip.style.setProperty("--mine", position >= 0 ? `var(--peer-${position + 1})` : "transparent");
    }
  }

  function plotted(plot) {
    const legend = el("p", { class: "legend" }, "");
    const place = el("div", { class: "plot" });
    const about = el("p", { class: "hint about" }, plot.about);
    const box = el("figure", { role: "group", "aria-label": plot.title }, el("figcaption", {}, el("b", {}, plot.title), legend), place, about);
    const written = plot.said ?? fine;
    let chart = null;
    let shape = "";
    let table = [];
    let series = [];
    let marks = [];

    function values(index) {
      const at = table[0]?.length ? (index ?? table[0].length - 1) : null;
      const spoken = series.slice(0, only === null ? plot.lines.length : series.length);
      legend.replaceChildren(...spoken.map(([, label, tint], i) => {
        const value = at === null ? null : (index === null ? table[i + 1].findLast((each) => each !== null) : table[i + 1][at]);
        const dot = el("i", {});
        dot.style.background = tint;
        return el("span", {}, dot, `${label} ${written(value ?? null)}`);
      }));
      if (index === null || at === null) return point(null, []);
      const version = table[0][at];
      const x = chart.valToPos(version, "x");
      point(version, marks.filter((mark) => Math.abs(chart.valToPos(mark.version, "x") - x) < NEAR_PX).slice(0, 3));
    }

    function build() {
      chart?.destroy();
      const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      chart = new uPlot({
        width: Math.max(120, place.clientWidth),
        height: 150,
        legend: { show: false },
        cursor: { sync: { key: "curves" }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        scales: {
          x: { time: false, range: () => (bounds[0] < bounds[1] ? bounds : [bounds[0] - 1, bounds[0] + 1]) },
          y: { range: plot.range ?? ((_, low, high) => (low === null ? [0, 1] : [plot.zero ? 0 : Math.min(0, low), (high || 1) * 1.08])) },
        },
        axes: [{ ...axis, size: 26, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? count(tick) : "")) }, { ...axis, size: 44, values: (_, ticks) => ticks.map((tick) => (plot.said?.(tick) ?? (tick >= 10_000 ? `${tick / 1000}k` : String(+tick.toPrecision(3))))) }],
        series: [{}, ...series.map(([, label, tint, faint]) => ({ label, stroke: tint, width: faint ? 1 : 1.8, dash: faint === "dash" ? [4, 3] : undefined, spanGaps: true, points: { show: table[0].length < 3 } }))],
        hooks: {
          drawClear: [drawMarks],
          setCursor: [(u) => values(u.cursor.idx ?? null)],
          setSelect: [(u) => {
            if (u.select.width < 4) return;
            const [first, last] = [u.select.left, u.select.left + u.select.width].map((x) => Math.round(u.posToVal(x, "x")));
            u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
            if (last - first >= 2) zoom(first, last);
          }],
        },
      }, table, place);
      chart.over.addEventListener("dblclick", () => zoom(0, null, 0));
    }

    function drawMarks(u) {
      const { ctx, bbox } = u;
      ctx.save();
      for (const mark of marks) {
        const x = Math.round(u.valToPos(mark.version, "x", true));
        if (x < bbox.left || x > bbox.left + bbox.width) continue;
        ctx.fillStyle = colour(`--kind-${mark.kind.replace(" ", "-")}`) || colour("--soft");
        // The pen passes on all the time in a long run: then its marks are only ticks at the top.
        ctx.globalAlpha = mark.kind !== "pen" ? 0.45 : marks.length > 40 ? 0 : 0.25;
        ctx.fillRect(x, bbox.top, devicePixelRatio, bbox.height);
        ctx.globalAlpha = 1;
        ctx.fillRect(x - 2 * devicePixelRatio, bbox.top, 5 * devicePixelRatio, 5 * devicePixelRatio);
      }
      ctx.restore();
    }

    function gather(news) {
      const mean = news[plot.rows ?? "mean"], peers = news.peers;
      const drawn = plot.mean ? [] : [...picked];
      series = plot.lines.map(([name, label, tint]) => [name, only === null || plot.mean ? label : `all ${label}`, colour(tint), ""]);
      const versions = new Set(mean.version ?? []);
      if (!plot.mean) (peers.version ?? []).forEach((version) => versions.add(version));
      const xs = [...versions].sort((a, b) => a - b);
      const place = new Map(xs.map((version, index) => [version, index]));
      const column = (rows, name, wanted) => {
        const values = new Array(xs.length).fill(null);
        (rows.version ?? []).forEach((version, index) => {
          if (wanted === null || rows.peer[index] === wanted) values[place.get(version)] = rows[name][index];
        });
        return values;
      };
      table = [xs, ...plot.lines.map(([name]) => column(mean, name, null))];
      drawn.forEach((id, index) => plot.lines.forEach(([name, label], line) => {
        const who = names.get(id) ?? id.slice(0, 8);
        series.push([name, `${who} ${plot.lines.length > 1 ? label : ""}`.trim(), colour(`--peer-${index + 1}`), line > 0 ? "dash" : ""]);
        table.push(column(peers, name, id));
      }));
    }

    function drawPlot(news) {
      // Not under the hand of somebody who is dragging; the next version draws anew.
      if (chart?.over.matches(":active")) return;
      gather(news);
      marks = news.marks;
      // Not every run is scored, or keeps images back: no picture of nothing.
      box.hidden = !table.slice(1).some((column) => column.some((value) => value !== null));
      if (box.hidden) return;
      const now = JSON.stringify([series, table[0].length < 3]);
      if (chart === null || now !== shape) {
        shape = now;
        build();
      } else chart.setData(table);
      values(null);
      box.dataset.lines = series.length;
      box.setAttribute("aria-label", `${plot.title}: ${[...legend.children].map((each) => each.textContent).join(", ")}`);
    }

    new ResizeObserver(() => chart?.setSize({ width: Math.max(120, place.clientWidth), height: 150 })).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => told && ((shape = ""), drawPlot(told)));
    return { node: box, draw: drawPlot };
  }

  settle();
  return {
    node,
    show({ status, overview }) {
      const drawable = (peer) => isHere(peer) || peer.id in overview.shares || picked.has(peer.id);
      names = new Map(status.peers.filter(drawable).map((peer) => [peer.id, peer.name]));
      if (only === null) chipsOf(names);
      const now = `${status.committed_version} ${overview.newest_mark}`;
      if (now === seen) return;
      seen = now;
      head = status.committed_version;
      if (part.last === null || told === null) read();
    },
  };
}
