"use strict";
// Maps of layers by x on a frozen page: the layer that reached the most is on top.
const layermap = (() => {
  const { SEQUENTIAL, addElement, roundTicks, truncate, valueText, tickLabels } = format;
  const ROW = 18, BOTTOM = 40, RIGHT = 12;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const cssColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The color of a share from 0 to 1, between the two nearest of a ramp.
  function colorAt(ramp, share) {
    const place = Math.min(Math.max(share, 0), 1) * (ramp.length - 1), i = Math.min(Math.floor(place), ramp.length - 2);
    const part = (hex, n) => parseInt(hex.slice(1 + 2 * n, 3 + 2 * n), 16);
    return `rgb(${[0, 1, 2].map((n) => Math.round(part(ramp[i], n) + (place - i) * (part(ramp[i + 1], n) - part(ramp[i], n)))).join(" ")})`;
  }

  // Adds a card for each map { title, layers, x, width, values, largest }; a click calls onPick(x, width).
  function add(parent, maps, { label, onPick }) {
    const cards = maps.map((map) => addCard(parent, map, label, onPick));
    const drawAll = () => { for (const card of cards) card.draw(); };
    const sizes = new ResizeObserver(drawAll);
    for (const { box } of cards) sizes.observe(box);
    dark.addEventListener("change", drawAll);
    addEventListener("beforeprint", () => requestAnimationFrame(drawAll));
    addEventListener("afterprint", drawAll);
    return { show(zoom) { for (const card of cards) card.zoom = zoom; drawAll(); } };
  }

  function addCard(parent, map, label, onPick) {
    const box = addElement("article", parent, undefined, "card layermap"), { x, width, values, largest } = map;
    addElement("h4", box, map.title);
    const canvas = addElement("canvas", box), note = addElement("p", box, "", "note");
    const peaks = values.map((row) => row.reduce((top, v) => (v !== null && v > top ? v : top), -Infinity));
    const order = [...values.keys()].sort((a, b) => peaks[b] - peaks[a]);
    const known = values.flat().filter((v) => v !== null), log = known.every((v) => v >= 0) && known.some((v) => v > 0);
    const level = (v) => (log ? Math.log10(v) : v), levels = known.map(level).filter(Number.isFinite);
    const low = levels.reduce((a, b) => Math.min(a, b), Infinity), high = levels.reduce((a, b) => Math.max(a, b), -Infinity);
    const first = x[0] - width / 2, last = x[x.length - 1] + width / 2, names = order.map((i) => truncate(map.layers[i], 22));
    const top = order[0], summary = `Largest: ${map.layers[top]}, ${valueText(peaks[top])} at ${label} ${valueText(largest[top])}.`;
    const rounded = (v) => valueText(Number((log ? 10 ** v : v).toPrecision(4)));
    const legend = low < high ? ` Colors run from ${rounded(low)} to ${rounded(high)}.` : "";
    note.textContent = summary + legend;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${map.title} of each layer by ${label}. ${summary}`);
    const card = { box, zoom: null, draw };
    let left = 0;

    function draw() {
      const size = { width: Math.max(box.clientWidth - 24, 200), height: ROW * order.length + BOTTOM }, ratio = devicePixelRatio || 1;
      const isDark = dark.matches && !document.documentElement.classList.contains("printing"), ramp = isDark ? SEQUENTIAL.dark : SEQUENTIAL.light;
      canvas.width = size.width * ratio;
      canvas.height = size.height * ratio;
      canvas.style.width = `${size.width}px`;
      canvas.style.height = `${size.height}px`;
      const ctx = canvas.getContext("2d");
      ctx.scale(ratio, ratio);
      ctx.font = "11px system-ui, sans-serif";
      left = Math.min(Math.max(...names.map((name) => ctx.measureText(name).width)) + 10, size.width / 3);
      const at = (value) => left + ((value - first) / (last - first)) * (size.width - left - RIGHT);
      order.forEach((i, row) => {
        values[i].forEach((v, column) => {
          if (v === null || !Number.isFinite(level(v))) return;
          ctx.fillStyle = colorAt(ramp, high > low ? (level(v) - low) / (high - low) : 0.5);
          const from = at(x[column] - width / 2);
          ctx.fillRect(from, row * ROW, Math.max(at(x[column] + width / 2) - from, 1) + 0.3, ROW - 1);
        });
        ctx.fillStyle = cssColor("--muted");
        ctx.textAlign = "right";
        ctx.fillText(names[row], left - 6, row * ROW + ROW / 2 + 4, left - 8);
      });
      ctx.textAlign = "center";
      const ticks = roundTicks(first, last, size.width / 90), texts = tickLabels(ticks);
      ticks.forEach((tick, i) => ctx.fillText(texts[i], Math.min(at(tick), size.width - 14), ROW * order.length + 13));
      ctx.fillText(label, (left + size.width) / 2, ROW * order.length + 29);
      if (!card.zoom) return;
      const [from, to] = [card.zoom.min, card.zoom.max].map((v) => at(Math.min(Math.max(v, first), last)));
      ctx.strokeStyle = cssColor("--red");
      ctx.strokeRect(from, 0.5, Math.max(to - from, 2), ROW * order.length - 1);
    }

    function cellAt(event) {
      const { left: edge, top: above, width: wide } = canvas.getBoundingClientRect();
      const place = first + ((event.clientX - edge - left) / (wide - left - RIGHT)) * (last - first);
      const column = x.findIndex((middle) => Math.abs(middle - place) <= width / 2), row = order[Math.floor((event.clientY - above) / ROW)];
      return column < 0 || row === undefined ? null : { column, row };
    }
    canvas.addEventListener("pointermove", (event) => {
      const cell = cellAt(event), value = cell && values[cell.row][cell.column];
      note.textContent = cell ? `${map.layers[cell.row]}: ${value === null ? "–" : valueText(Number(value.toPrecision(4)))} around ${label} ${valueText(Math.round(x[cell.column]))}` : summary + legend;
    });
    canvas.addEventListener("pointerleave", () => { note.textContent = summary + legend; });
    canvas.addEventListener("click", (event) => { const cell = cellAt(event); if (cell) onPick(x[cell.column], width); });
    return card;
  }

  return { add };
})();
