"use strict";
// Saves a chart as a picture: PNG from its canvas, SVG from its data.
const saving = (() => {
  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif', ROW = 18;

  // What stands above and below the plot: title, and the names of the shown lines in rows.
  function layoutOf(card, width, measure) {
    const rows = [[]];
    let left = 12;
    for (const { line, color, dash, show } of card.content.drawn) {
      if (!show) continue;
      const size = 24 + measure(line.name) + 14;
      if (left + size > width - 12 && rows[rows.length - 1].length) { rows.push([]); left = 12; }
      rows[rows.length - 1].push({ name: line.name, color, dash, left });
      left += size;
    }
    return { rows, top: 30, bottom: ROW * rows.length + 10 };
  }

  function measureText(text) {
    const context = document.createElement("canvas").getContext("2d");
    context.font = `12px ${FONT}`;
    return context.measureText(text).width;
  }

  function pngOf(card, color) {
    const { plot } = card, ratio = uPlot.pxRatio, source = plot.ctx.canvas;
    const { rows, top, bottom } = layoutOf(card, plot.width, measureText);
    const canvas = document.createElement("canvas"), ctx = canvas.getContext("2d");
    canvas.width = source.width;
    canvas.height = source.height + (top + bottom) * ratio;
    ctx.fillStyle = color("--panel");
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.drawImage(source, 0, top * ratio);
    ctx.scale(ratio, ratio);
    ctx.fillStyle = color("--text");
    ctx.font = `600 14px ${FONT}`;
    ctx.fillText(card.chart.title, 12, 20);
    ctx.font = `12px ${FONT}`;
    rows.forEach((row, n) => {
      const y = top + plot.height + ROW * n + 12;
      for (const { name, color: stroke, dash, left } of row) {
        ctx.strokeStyle = stroke;
        ctx.lineWidth = 2;
        ctx.setLineDash(dash);
        ctx.beginPath();
        ctx.moveTo(left, y - 4);
        ctx.lineTo(left + 18, y - 4);
        ctx.stroke();
        ctx.fillText(name, left + 24, y);
      }
    });
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  function element(name, attributes, parent, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent?.append(node);
    return node;
  }

  // Text of an SVG document with the lines, axes and events of a chart as they are shown.
  function svgOf(card, color) {
    const { plot } = card, ratio = uPlot.pxRatio;
    const box = Object.fromEntries(["left", "top", "width", "height"].map((name) => [name, plot.bbox[name] / ratio]));
    const { rows, top, bottom } = layoutOf(card, plot.width, measureText);
    const size = { width: plot.width, height: plot.height + top + bottom };
    const root = element("svg", { xmlns: "http://www.w3.org/2000/svg", ...size, viewBox: `0 0 ${size.width} ${size.height}`, "font-family": FONT, "font-size": 12 });
    element("rect", { ...size, fill: color("--panel") }, root);
    element("text", { x: 12, y: 20, "font-size": 14, "font-weight": 600, fill: color("--text") }, root, card.chart.title);
    const clip = element("clipPath", { id: "plot" }, element("defs", {}, root));
    element("rect", { x: box.left, y: box.top, width: box.width, height: box.height }, clip);
    const body = element("g", { transform: `translate(0 ${top})` }, root);
    drawAxes(body, plot, box, color);
    const area = element("g", { "clip-path": "url(#plot)", fill: "none" }, body);
    drawLines(area, plot, box);
    for (const { event, left } of marks.eventsAt(plot, card.events, card.axis)) {
      if (!marks.TALL.has(event.kind)) continue;
      const at = { x1: box.left + left, x2: box.left + left, y1: box.top, y2: box.top + box.height };
      element("title", {}, element("line", { ...at, stroke: color(marks.EVENT_COLORS[event.kind]) }, area), event.text);
    }
    rows.forEach((row, n) => {
      const y = plot.height + ROW * n + 12;
      for (const { name, color: stroke, dash, left } of row) {
        element("line", { x1: left, x2: left + 18, y1: y - 4, y2: y - 4, stroke, "stroke-width": 2, "stroke-dasharray": dash.join(" ") }, body);
        element("text", { x: left + 24, y, fill: color("--text") }, body, name);
      }
    });
    return new XMLSerializer().serializeToString(root);
  }

  function drawAxes(parent, plot, box, color) {
    const [xs, ys] = plot.axes, end = box.top + box.height, fill = color("--muted");
    const each = (axis, draw) => (axis._splits ?? []).forEach((value, i) => draw(value, axis._values[i] ?? ""));
    each(xs, (value, text) => {
      const x = box.left + plot.valToPos(value, "x");
      element("line", { x1: x, x2: x, y1: box.top, y2: end, stroke: color("--grid") }, parent);
      element("text", { x, y: end + 18, "text-anchor": "middle", fill }, parent, text);
    });
    each(ys, (value, text) => {
      const y = box.top + plot.valToPos(value, "y");
      if (!(y >= box.top && y <= end)) return;
      element("line", { x1: box.left, x2: box.left + box.width, y1: y, y2: y, stroke: color("--grid") }, parent);
      element("text", { x: box.left - 8, y: y + 4, "text-anchor": "end", fill }, parent, text);
    });
    element("text", { x: box.left + box.width / 2, y: plot.height - 6, "text-anchor": "middle", fill }, parent, xs.label);
    const middle = box.top + box.height / 2;
    element("text", { x: 14, y: middle, "text-anchor": "middle", fill, transform: `rotate(-90 14 ${middle})` }, parent, ys.label);
  }

  function drawLines(parent, plot, box) {
    const { min, max } = plot.scales.x;
    const at = (i, y) => `${(box.left + plot.valToPos(plot.data[0][i], "x")).toFixed(2)} ${(box.top + plot.valToPos(y, "y")).toFixed(2)}`;
    const isInside = (i) => plot.data[0][i] >= min && plot.data[0][i] <= max;
    for (const { series: [upper, lower], fill } of plot.bands ?? []) {
      if (!plot.series[upper].show) continue;
      const known = [...plot.data[0].keys()].filter((i) => isInside(i) && plot.data[upper][i] != null && plot.data[lower][i] != null);
      if (!known.length) continue;
      const edge = (s, order) => order.map((i) => at(i, plot.data[s][i]));
      const path = [...edge(upper, known), ...edge(lower, known.reverse())].join(" L");
      element("path", { d: `M${path} Z`, fill: typeof fill === "function" ? fill() : fill }, parent);
    }
    plot.series.forEach((series, s) => {
      if (!s || !series.show || !series.width) return;
      let path = "", pen = "M";
      plot.data[s].forEach((y, i) => {
        if (y === undefined || !isInside(i)) return;
        if (y === null) { pen = "M"; return; }
        path += `${pen}${at(i, y)}`;
        pen = "L";
      });
      const stroke = typeof series.stroke === "function" ? series.stroke(plot, s) : series.stroke;
      if (path) element("path", { d: path, stroke, "stroke-width": series.width, "stroke-dasharray": (series.dash ?? []).join(" ") }, parent);
    });
  }

  // Gives a file to the browser as a download.
  function download(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name.replace(/[^A-Za-z0-9._-]+/g, "_");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  return { download, pngOf, svgOf };
})();
