"use strict";
// Charts by touch: two fingers zoom, one moves a zoomed chart or reads values of a whole one.
const touch = (() => {
  const LEAST = 12; // pixels between two fingers, so that a zoom is no division by nothing

  // Follows the fingers on a chart. use: { zoomed() -> whether a part of x is shown, extent() -> the whole of x, show(range), zoomTo(range) }
  function follow(card, { zoomed, extent, show, zoomTo }) {
    const fingers = new Map(); // by id of the pointer: where it began and where it is, in pixels of the plot
    let begin = null, range = null;
    const isTouch = (event) => event.pointerType === "touch" && card.plot;

    // The range with which the fingers that are down began; again whenever their number changes.
    function restart() {
      const { min, max } = card.plot.scales.x;
      begin = { min, max };
      for (const finger of fingers.values()) finger.from = finger.to;
    }

    // The range in which the values that were under the fingers are still under them.
    function moved() {
      const width = card.plot.over.clientWidth, span = begin.max - begin.min;
      const [first, second] = [...fingers.values()];
      if (!second) {
        const shift = ((first.from - first.to) / width) * span, whole = extent();
        const least = whole ? Math.min(whole.min - begin.min, 0) : -Infinity, most = whole ? Math.max(whole.max - begin.max, 0) : Infinity;
        const bounded = Math.min(Math.max(shift, least), most);
        return { min: begin.min + bounded, max: begin.max + bounded };
      }
      const gap = Math.max(Math.abs(second.from - first.from), LEAST), now = Math.max(Math.abs(second.to - first.to), LEAST);
      const size = (span * gap) / now, middle = (first.from + second.from) / 2;
      const min = begin.min + (middle / width) * span - ((first.to + second.to) / 2 / width) * size;
      return { min, max: min + size };
    }

    function place(event) { return event.clientX - card.plot.over.getBoundingClientRect().left; }

    card.holder.addEventListener("pointerdown", (event) => {
      if (!isTouch(event) || fingers.size > 1) return;
      fingers.set(event.pointerId, { from: place(event), to: place(event) });
      restart();
    });
    card.holder.addEventListener("pointermove", (event) => {
      const finger = isTouch(event) && fingers.get(event.pointerId);
      if (!finger) return;
      finger.to = place(event);
      if (fingers.size === 1 && !zoomed()) {
        card.plot.setCursor({ left: finger.to, top: card.plot.over.clientHeight / 2 });
        return;
      }
      range = moved();
      show(range);
    });
    const end = (event) => {
      if (!fingers.delete(event.pointerId)) return;
      if (fingers.size) { restart(); return; }
      const last = range, whole = extent();
      range = null;
      if (last) zoomTo(whole && last.min <= whole.min && last.max >= whole.max ? null : last);
    };
    for (const type of ["pointerup", "pointercancel"]) card.holder.addEventListener(type, end);
  }

  return { follow };
})();
