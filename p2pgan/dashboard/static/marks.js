// What happened in between, as lines in a curve.

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function drawMarks(u, marks) {
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
