"use strict";
// Legends of charts.
const legend = (() => {
  const { addElement, bytesText, valueText } = format;
  const PROXIMITY = 30; // pixels from the pointer within which a value is read

  // Adds the names of the lines, as buttons that hide and show them, with the values at the cursor.
  // use: { axes, isBytes(chart), onToggle(one) }
  function add(card, parent, { axes, isBytes, onToggle }) {
    const at = addElement("span", parent, "", "x-value"), items = [];
    at.setAttribute("aria-live", "polite");
    function update() {
      const { drawn } = card.content;
      while (items.length > drawn.length) items.pop().node.remove();
      drawn.forEach((one, i) => {
        const item = items[i] ??= addItem();
        item.one = one;
        item.node.classList.toggle("faint", Boolean(one.line.faint));
        item.name.textContent = one.line.name;
        item.value.textContent = "";
        item.marker.style.borderTopColor = one.color;
        item.marker.style.borderTopStyle = one.dash.length ? (one.dash[0] > 4 ? "dashed" : "dotted") : "solid";
        item.node.setAttribute("aria-pressed", one.show);
      });
      at.textContent = "";
    }
    function addItem() {
      const node = addElement("button", parent, undefined, "line"), item = { node };
      Object.assign(node, { type: "button", title: "hide or show" });
      item.marker = addElement("span", node, undefined, "marker");
      item.name = addElement("span", node, "", "name");
      item.value = addElement("span", node, "", "value");
      node.addEventListener("click", () => onToggle(item.one));
      return item;
    }
    function read(plot) {
      const { left } = plot.cursor, x = plot.posToVal(left, "x");
      const distance = plot.posToVal(left + PROXIMITY, "x") - x;
      const found = items.map(({ one }) => {
        if (!one.show || !(left >= 0)) return null;
        const source = one.raw ?? one, i = lines.nearest(source.x, source.y, x, distance);
        if (i < 0) return null;
        const s = one.raw ? lines.nearest(one.x, one.y, source.x[i], distance) : -1;
        return { x: source.x[i], y: source.y[i], smooth: s < 0 ? null : one.y[s] };
      });
      const near = found.filter(Boolean).reduce((best, one) => (!best || Math.abs(one.x - x) < Math.abs(best.x - x) ? one : best), null);
      const text = (v) => valueText(card.divisor === 1 ? v : Number((v / card.divisor).toPrecision(5)));
      at.textContent = near ? `${axes[card.axis]} ${text(near.x)}${card.unit ? ` ${card.unit}` : ""}` : "";
      found.forEach((one, i) => {
        const where = one && one.x !== near.x ? ` at ${text(one.x)}` : "";
        const show = isBytes(card.chart) ? bytesText : valueText;
        const value = !one ? "" : one.smooth === null ? show(one.y) : `${show(one.smooth)} (${show(one.y)})`;
        items[i].value.textContent = value + where;
      });
    }
    return { update, read };
  }

  return { PROXIMITY, add };
})();
