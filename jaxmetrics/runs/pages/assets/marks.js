"use strict";
// What is drawn over the lines of a chart: values that are not finite, outliers, events.
const marks = (() => {
  const EVENT_COLORS = { alarm: "--red", restart: "--warn", evaluation: "--muted", checkpoint: "--muted" };
  const TALL = new Set(["alarm", "restart"]);

  function paint(plot, draw) {
    const { ctx, bbox } = plot, ratio = uPlot.pxRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left - 4 * ratio, bbox.top, bbox.width + 8 * ratio, bbox.height);
    ctx.clip();
    draw(ctx, bbox, ratio);
    ctx.restore();
  }

  // Positions of events within the plot in CSS pixels, with those events.
  function eventsAt(plot, events, axis) {
    const { min, max } = plot.scales.x;
    return events.filter(({ at }) => at[axis] >= min && at[axis] <= max)
      .map((event) => ({ event, left: plot.valToPos(event.at[axis], "x") }));
  }

  // Alarms and restarts are lines over the whole height; evaluations and checkpoints are ticks at the top.
  function drawEvents(plot, events, axis, color) {
    paint(plot, (ctx, { left, top, height }, ratio) => {
      ctx.lineWidth = ratio;
      for (const { event, left: at } of eventsAt(plot, events, axis)) {
        const x = left + at * ratio, tall = TALL.has(event.kind);
        ctx.strokeStyle = color(EVENT_COLORS[event.kind] ?? "--muted");
        ctx.globalAlpha = tall ? 0.75 : 0.6;
        ctx.setLineDash(event.kind === "restart" ? [4 * ratio, 3 * ratio] : []);
        ctx.beginPath();
        ctx.moveTo(x, top);
        ctx.lineTo(x, top + (tall ? height : (event.kind === "checkpoint" ? 9 : 5) * ratio));
        ctx.stroke();
      }
    });
  }

  // Crosses at the lower edge, where values are not finite or have no logarithm.
  function drawGaps(plot, drawn, color) {
    paint(plot, (ctx, { left, top, width, height }, ratio) => {
      const size = 3 * ratio, y = top + height - 2 * size, taken = new Set();
      ctx.strokeStyle = color("--red");
      ctx.lineWidth = 1.5 * ratio;
      ctx.beginPath();
      for (const { gaps, show } of drawn) {
        if (!show) continue;
        for (const gap of gaps) {
          const x = Math.round(plot.valToPos(gap, "x", true));
          if (x < left || x > left + width || taken.has(x)) continue;
          taken.add(x);
          ctx.moveTo(x - size, y - size); ctx.lineTo(x + size, y + size);
          ctx.moveTo(x - size, y + size); ctx.lineTo(x + size, y - size);
        }
      }
      ctx.stroke();
    });
  }

  // Triangles at the edge that values exceed, in the color of their line. Returns the number of values.
  function drawOutliers(plot, drawn) {
    const { min, max } = plot.scales.y, range = plot.scales.x;
    let count = 0;
    paint(plot, (ctx, { left, top, height }, ratio) => {
      const size = 4 * ratio;
      for (const one of drawn) {
        if (!one.show) continue;
        const { x, y } = one.raw ?? one, taken = new Set();
        ctx.fillStyle = one.color;
        for (let i = lines.bisect(x, range.min); i < x.length && x[i] <= range.max; i++) {
          if (y[i] === null || (y[i] <= max && y[i] >= min)) continue;
          count += 1;
          const above = y[i] > max, at = Math.round(plot.valToPos(x[i], "x", true) / size) * size;
          if (taken.has(above ? at : -at)) continue;
          taken.add(above ? at : -at);
          const tip = above ? top : top + height, base = above ? tip + 1.6 * size : tip - 1.6 * size;
          ctx.beginPath();
          ctx.moveTo(at, tip); ctx.lineTo(at - size, base); ctx.lineTo(at + size, base);
          ctx.fill();
        }
      }
    });
    return count;
  }

  return { EVENT_COLORS, TALL, drawEvents, drawGaps, drawOutliers, eventsAt };
})();
