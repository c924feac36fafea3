// What happened in between, as lines in a curve.

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function drawMarks(u, marks) {
  const { ctx, bbox } = u;
  const many = marks.length > 40;
  ctx.save();
  for (const mark of marks) {
    const x = Math.round(u.valToPos(mark.version, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.fillStyle = colour(`--kind-${mark.kind.replace(" ", "-")}`) || colour("--soft");
    // The pen passes on all the time in a long run: then its marks are only thin ticks at the top.
    const often = many && mark.kind === "pen";
    ctx.globalAlpha = mark.kind !== "pen" ? 0.45 : often ? 0 : 0.25;
    ctx.fillRect(x, bbox.top, devicePixelRatio, bbox.height);
    ctx.globalAlpha = often ? 0.5 : 1;
    const wide = often ? devicePixelRatio : 5 * devicePixelRatio;
    ctx.fillRect(x - Math.floor(wide / 2), bbox.top, wide, 5 * devicePixelRatio);
  }
  ctx.restore();
}
