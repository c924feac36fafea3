// Curves over versions, with marks of what happened. The database thins them out; zooming asks anew.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { card, count, el, fine, inOrder, isHere, say } from "./dom.js";
import { KINDS } from "./events.js";
import { ask, paced } from "./live.js";
import { colour, drawMarks } from "./marks.js";
import { HEALTH, PROGRESS } from "./plots.js";

const MOST_PEERS = 6;
const NEAR_PX = 7;
const STEEP = [0, 1, 10, 100, 1000, 10_000, 100_000];
const SPANS = [["Whole run", 0], ["Last 1,000", 1000], ["Last 100", 100]];

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
  const [progress, healthy] = [PROGRESS, HEALTH].map((some) => some.map((plot) => plotted(plot)));
  const plots = [...progress, ...healthy];
  const none = el("p", { class: "hint" }, "Curves begin with the first version.");
  const node = card("Curves",
    el("div", { class: "filters" }, spans, zoomed), only === null ? chips : null, none,
    pointed, el("div", { class: "plots" }, ...progress.map((plot) => plot.node)), key);
  const health = card("Health", el("div", { class: "plots" }, ...healthy.map((plot) => plot.node)));
  point(null, []);

  function zoom(first, last, recent = 0) {
    part = { first, last, recent };
    settle();
    read();
  }

  // What is under the pointer, said once for all curves.
  function point(version, marks) {
    if (version === null) {
      pointed.replaceChildren("Point at a curve for its values, drag over it to look closer, double-click for all of it; by keys: arrows, plus and Escape.");
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
    // Rounded, so that windows of different widths ask the same, and the database once.
    const width = Math.max(200, 100 * Math.ceil(node.clientWidth / 200));
    const first = part.recent ? Math.max(0, head - part.recent) : part.first;
    told = await ask(`/api/runs/${run}/curves`, { first, last: part.last, points: Math.min(1000, width), peer: [...picked] });
    draw();
  }, 2500);

  function draw() {
    if (told === null) return;
    const empty = !told.mean.version?.length;
    none.hidden = !empty;
    health.hidden = empty;
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
    const how = "arrow keys read values, plus looks closer, Escape shows all";
    const place = el("div", { class: "plot", tabindex: 0, role: "img", "aria-label": `${plot.title}; ${how}`, onkeydown: press, onblur: () => chart?.setCursor({ left: -10, top: -10 }) });
    const about = el("p", { class: "hint about" }, plot.about);
    const box = el("figure", { role: "group", "aria-label": plot.title }, el("figcaption", {}, el("b", {}, plot.title), legend), place, about);
    const written = plot.said ?? fine;
    let chart = null;
    let shape = "";
    let table = [];
    let lines = plot.lines;
    let series = [];
    let marks = [];

    const ticked = (tick) => plot.said?.(tick) ?? (tick >= 10_000 ? `${tick / 1000}k` : String(+tick.toPrecision(3)));

    function values(index) {
      const at = table[0]?.length ? (index ?? table[0].length - 1) : null;
      const spoken = series.slice(0, only === null ? lines.length : series.length);
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
          y: { distr: plot.steep ? 4 : 1, range: plot.range ?? ((_, low, high) => (low === null ? [0, 1] : [plot.zero ? 0 : Math.min(0, low), (high || 1) * 1.08])) },
        },
        axes: [{ ...axis, size: 26, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? count(tick) : "")) }, { ...axis, size: 44, values: (_, ticks) => ticks.map(ticked), ...(plot.steep ? { filter: (_, ticks) => ticks, splits: (u) => STEEP.filter((tick) => tick <= u.scales.y.max) } : {}) }],
        series: [{}, ...series.map(([, label, tint, faint]) => ({ label, stroke: tint, width: faint ? 1 : 1.8, dash: faint === "dash" ? [4, 3] : undefined, spanGaps: true, points: { show: table[0].length < 3 } }))],
        hooks: {
          drawClear: [(u) => drawMarks(u, marks)],
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

    // What the pointer does, by keys.
    function press(event) {
      const xs = table[0] ?? [];
      if (chart === null || xs.length === 0 || event.ctrlKey || event.altKey || event.metaKey) return;
      const at = chart.cursor.idx ?? xs.length - 1;
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: xs.length - 1 }[event.key];
      if (to !== undefined) pointAt(xs[Math.max(0, Math.min(xs.length - 1, to))]);
      else if (event.key === "+") closer(xs[at]);
      else if (event.key === "Escape") zoom(0, null, 0);
      else return;
      event.preventDefault();
    }

    function pointAt(version) {
      chart.setCursor({ left: chart.valToPos(version, "x"), top: 20 });
    }

    // The quarter of what is seen to either side of a version.
    function closer(version) {
      const reach = Math.max(1, Math.round((bounds[1] - bounds[0]) / 4));
      zoom(Math.max(0, version - reach), version + reach);
    }

    function gather(news) {
      const mean = news[plot.rows ?? "mean"], peers = news.peers;
      const drawn = plot.mean ? [] : [...picked];
      // Not every run is scored, or keeps images back: nothing is drawn of nothing.
      lines = plot.lines.filter(([name]) => mean[name]?.some((value) => value !== null));
      series = lines.map(([name, label, tint]) => [name, only === null || plot.mean ? label : `all ${label}`, colour(tint), ""]);
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
      table = [xs, ...lines.map(([name]) => column(mean, name, null))];
      drawn.forEach((id, index) => lines.forEach(([name, label], line) => {
        const who = names.get(id) ?? id.slice(0, 8);
        series.push([name, `${who} ${lines.length > 1 ? label : ""}`.trim(), colour(`--peer-${index + 1}`), line > 0 ? "dash" : ""]);
        table.push(column(peers, name, id));
      }));
    }

    function drawPlot(news) {
      // Not under the hand of somebody who is dragging; the next version draws anew.
      if (chart?.over.matches(":active")) return;
      const reads = document.activeElement === place ? table[0]?.[chart?.cursor.idx] : undefined;
      gather(news);
      marks = news.marks;
      box.hidden = lines.length === 0;
      if (box.hidden) return;
      const now = JSON.stringify([series, table[0].length < 3]);
      if (chart === null || now !== shape) {
        shape = now;
        build();
      } else chart.setData(table);
      values(null);
      // Who reads by keys stays where they are, once the chart has its new scale.
      if (reads !== undefined) queueMicrotask(() => pointAt(reads));
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
    health,
    show({ status, overview }) {
      const drawable = (peer) => isHere(peer) || peer.id in overview.shares || picked.has(peer.id);
      names = new Map(inOrder(status.peers.filter(drawable)).map((peer) => [peer.id, peer.name]));
      if (only === null) chipsOf(names);
      const now = `${status.committed_version} ${overview.newest_mark}`;
      if (now === seen) return;
      seen = now;
      head = status.committed_version;
      if (part.last === null || told === null) read();
    },
  };
}
