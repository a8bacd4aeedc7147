"use strict";
// Charts by keyboard.
const keyboard = (() => {
  const HELP = "Arrow keys read values, plus and minus zoom, shift with arrows moves, 0 resets.";

  // Follows a key of a focused chart: reads values, zooms, moves, resets.
  function steer(card, event, zoomTo) {
    const { plot, data } = card;
    if (!plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const { min, max } = plot.scales.x, full = lines.extent(data), width = max - min;
    const sign = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
    const middle = plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : (min + max) / 2;
    if (sign && event.shiftKey) zoomTo({ min: min + 0.2 * sign * width, max: max + 0.2 * sign * width });
    else if (sign) {
      const xs = plot.data[0], i = lines.bisect(xs, middle);
      const start = plot.cursor.left >= 0 ? (sign > 0 && plot.valToPos(xs[Math.min(i, xs.length - 1)], "x") > plot.cursor.left + 0.5 ? i : i + sign) : i;
      let next = Math.min(Math.max(start, 0), xs.length - 1);
      while (xs[next + sign] !== undefined && Math.abs(plot.valToPos(xs[next], "x") - plot.cursor.left) < 1) next += sign;
      plot.setCursor({ left: plot.valToPos(xs[next], "x"), top: plot.over.clientHeight / 2 });
    } else if (event.key === "+" || event.key === "=") zoomTo({ min: middle - width / 4, max: middle + width / 4 });
    else if (event.key === "-") {
      const wider = { min: middle - width, max: middle + width };
      zoomTo(full && wider.min <= full.min && wider.max >= full.max ? null : wider);
    } else if (event.key === "0" || event.key === "Escape") zoomTo(null);
    else return;
    event.preventDefault();
  }

  return { HELP, steer };
})();
