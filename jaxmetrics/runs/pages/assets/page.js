(({ addElement, valueText, truncate, tickLabels }) => {
  const { columns, page } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const style = getComputedStyle(document.documentElement);
  const [GRID, MUTED] = ["--grid", "--muted"].map((name) => style.getPropertyValue(name));
  const RED = "#f85149", DASHES = [[], [7, 4], [2, 3]], MAX_VISIBLE_LINES = 12;
  const TIME_UNITS = [[3600, "h"], [60, "min"], [1, "s"]];
  const settings = { axis: null, smoothing: 0, log: false, zoom: null };
  const cards = [];

  // Exponential moving average without the bias towards zero at the start, as in TensorBoard.
  function smooth(values, weight) {
    let sum = 0, count = 0;
    return values.map((v) => {
      if (v === null) return null;
      sum = sum * weight + (1 - weight) * v;
      count += 1;
      return sum / (1 - weight ** count);
    });
  }

  // x and the columns y of the points that have an x, in ascending order.
  function points(x, ys, divisor) {
    const order = [...x.keys()].filter((i) => x[i] !== null);
    if (order.some((i, n) => n && x[i] < x[order[n - 1]])) order.sort((i, j) => x[i] - x[j]);
    const visible = (v) => (v === null || (settings.log && v <= 0) ? null : v);
    return [order.map((i) => x[i] / divisor), ...ys.map((y) => order.map((i) => visible(y[i])))];
  }

  // The selected axis, or the first one that the chart has.
  function axisOf(chart) {
    const has = (axis) => chart.lines.some((line) => axis in line.x);
    return has(settings.axis) ? settings.axis : Object.keys(chart.lines[0].x)[0];
  }

  // Data and options of a chart for uPlot.
  function plotOf(chart, axis) {
    const lines = chart.lines.filter((line) => axis in line.x);
    // A mean over seeds is a line of its own on each axis: its name counts once.
    const drawn = new Set(lines.map((line) => line.name));
    const missingLines = new Set(chart.lines.map((line) => line.name).filter((name) => !drawn.has(name))).size;
    const end = Math.max(...lines.flatMap((line) => columns[line.x[axis]].filter((x) => x !== null).slice(-1)));
    const [divisor, unit] = axis === "time" ? TIME_UNITS.find(([s]) => end >= 2 * s) ?? [1, "s"] : [1, ""];
    const tables = [], series = [], bands = [], gaps = [];
    const add = (table, ...options) => { tables.push(table); series.push(...options); };
    lines.forEach((line, index) => {
      const color = page.colors[line.color % page.colors.length];
      const dash = DASHES[Math.floor(line.color / page.colors.length) % DASHES.length];
      const main = { stroke: line.faint ? color + "70" : color, width: line.faint ? 1 : 1.8, dash, show: index < MAX_VISIBLE_LINES, group: index, scale: "y", pxAlign: 0, points: { size: 5, fill: color } };
      const pale = { ...main, stroke: color + "40", width: 1, class: "background-series", points: { show: false } };
      const raw = points(columns[line.x[axis]], [columns[line.y]], divisor);
      raw[0].forEach((x, i) => { if (raw[1][i] === null) gaps.push(x); });
      const smoothed = settings.smoothing > 0 && !line.band && !line.faint;
      if (line.band) {
        const edges = points(columns[line.x[axis]], line.band.map((c) => columns[c]), divisor);
        bands.push({ series: [series.length + 2, series.length + 1], fill: color + "30" });
        add(edges, { ...pale, width: 0 }, { ...pale, width: 0 });
      }
      if (smoothed) {
        const source = line.means ?? line;
        const table = points(columns[source.x[axis]], [columns[source.y]], divisor);
        add(raw, pale);
        add([table[0], smooth(table[1], settings.smoothing)], { ...main, label: line.name });
      } else add(raw, { ...main, label: line.name });
    });
    return { data: uPlot.join(tables), series, bands, gaps, unit, missingLines };
  }

  // Draws crosses at the lower edge, where values are not finite or have no logarithm.
  function markGaps(gaps) {
    return (plot) => {
      const { left, top, width, height } = plot.bbox, size = 3 * devicePixelRatio;
      plot.ctx.save();
      plot.ctx.strokeStyle = RED;
      plot.ctx.lineWidth = 1.5 * devicePixelRatio;
      plot.ctx.beginPath();
      for (const gap of gaps) {
        const x = plot.valToPos(gap, "x", true), y = top + height - 2 * size;
        if (x < left || x > left + width) continue;
        plot.ctx.moveTo(x - size, y - size); plot.ctx.lineTo(x + size, y + size);
        plot.ctx.moveTo(x - size, y + size); plot.ctx.lineTo(x + size, y - size);
      }
      plot.ctx.stroke();
      plot.ctx.restore();
    };
  }

  // Sentences about values that a chart does not show.
  function noteOf(chart, axis, content) {
    const notes = [];
    for (const line of chart.lines) {
      const name = chart.lines.length > 1 ? `${line.name}: ` : "";
      if (line.means) notes.push(`${name}${valueText(line.count)} values; the minimum and maximum of each ${valueText(line.means.of)} are drawn, and their means are smoothed.`);
      if (line.missing) notes.push(`${name}${valueText(line.missing)} of ${valueText(line.count)} not finite.`);
    }
    if (settings.log && content.gaps.length > chart.lines.reduce((n, l) => n + l.missing, 0)) notes.push("Values that are not positive are not shown on a log scale.");
    if (axis !== settings.axis) notes.push(`Not recorded by ${page.axes[settings.axis]}.`);
    else if (content.missingLines) notes.push(`${content.missingLines} not recorded by ${page.axes[axis]}.`);
    if (chart.lines.length > MAX_VISIBLE_LINES) notes.push(`The first ${MAX_VISIBLE_LINES} of ${chart.lines.length} are shown; click a name in the legend to show another.`);
    return notes.slice(0, 8).join("\n");
  }

  function fullRange(plot) {
    const xs = plot.data[0], [min, max] = [xs[0], xs[xs.length - 1]];
    return min < max ? { min, max } : { min: min - 1, max: min + 1 };
  }

  function draw(card) {
    const { chart } = card, axis = axisOf(chart), content = plotOf(chart, axis);
    const visibility = card.visibility;
    content.series.forEach((s) => { s.show = visibility.has(s.group) ? visibility.get(s.group) : s.show; s.value = (_, v) => valueText(v); });
    card.plot?.destroy();
    card.note.textContent = noteOf(chart, axis, content);
    card.outdated = false;
    if (!content.data[0].length || !content.data.slice(1).some((ys) => ys.some((y) => y != null))) {
      card.plot = null;
      card.holder.textContent = settings.log ? "None of the values is finite and positive." : "None of the values is finite.";
      return;
    }
    card.holder.textContent = "";
    const label = page.axes[axis] + (content.unit ? ` (${content.unit})` : "");
    const axisStyle = { stroke: MUTED, grid: { stroke: GRID, width: 1 }, ticks: { stroke: GRID }, labelSize: 24, labelGap: 2, font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif" };
    const values = (_, splits) => tickLabels(splits);
    const size = (plot, labels) => 18 + 7 * Math.max(3, ...(labels ?? []).map((s) => (s ?? "").length));
    card.plot = new uPlot({
      width: card.holder.clientWidth, height: card.box.classList.contains("wide") ? 480 : 260,
      series: [{ label, value: (_, v) => valueText(v) }, ...content.series],
      bands: content.bands,
      scales: { x: { time: false }, y: { distr: settings.log ? 3 : 1 } },
      axes: [{ ...axisStyle, label, values, size: 32 }, { ...axisStyle, label: truncate(chart.label, 32), values, size }],
      cursor: { sync: { key: axis, setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } }, drag: { x: true, y: false, setScale: false }, focus: { prox: 24 }, bind: { dblclick: () => () => zoomTo(null) } },
      focus: { alpha: 0.35 },
      hooks: {
        draw: [markGaps(content.gaps)],
        setSelect: [(plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          zoomTo({ min: plot.posToVal(left, "x"), max: plot.posToVal(left + width, "x") });
        }],
        setSeries: [(plot, index, change) => { if (index && "show" in change) toggle(card, plot, index); }],
      },
    }, content.data, card.holder);
    card.plot.setScale("x", settings.zoom ?? fullRange(card.plot));
    for (const name of card.holder.querySelectorAll(".u-series:not(:first-child) th")) {
      name.tabIndex = 0;
      name.setAttribute("role", "button");
      name.addEventListener("keydown", (event) => { if (event.key === "Enter") name.click(); });
    }
  }

  // Shows or hides a line together with its band and its unsmoothed values.
  function toggle(card, plot, index) {
    const { group, show } = plot.series[index];
    card.visibility.set(group, show);
    plot.series.forEach((s, i) => { if (s.group === group && s.show !== show) plot.setSeries(i, { show }, false); });
  }

  function zoomTo(zoom) {
    settings.zoom = zoom;
    byId("reset").disabled = !zoom;
    for (const { plot } of cards) plot?.setScale("x", zoom ?? fullRange(plot));
  }

  // Charts are drawn when they come near the visible part of the page.
  const visibilityObserver = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      entry.target.card.near = entry.isIntersecting;
      refresh(entry.target.card);
    }
  }, { rootMargin: "300px" });
  const sizeObserver = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const { plot } = target.card, width = target.clientWidth;
      if (plot && width && width !== plot.width) plot.setSize({ width, height: plot.height });
    }
  });
  function refresh(card) { if (card.near && card.outdated) draw(card); }
  function refreshAll() {
    for (const card of cards) { card.outdated = true; refresh(card); }
  }

  function addCard(parent, chart) {
    const box = addElement("article", parent, undefined, "card");
    const top = addElement("div", box, undefined, "top");
    addElement("h4", top, chart.title);
    const sizeButton = addElement("button", top, "⤢");
    sizeButton.type = "button";
    sizeButton.title = "larger or smaller";
    sizeButton.setAttribute("aria-label", `larger or smaller: ${chart.title}`);
    const holder = addElement("div", box, undefined, "plot"), note = addElement("p", box, "", "note");
    note.style.whiteSpace = "pre-line";
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", `${chart.title}: ${chart.lines.map((line) => line.name).slice(0, 20).join(", ")}`);
    const card = { box, holder, note, chart, visibility: new Map(), outdated: true, near: false };
    sizeButton.addEventListener("click", () => { box.classList.toggle("wide"); draw(card); });
    box.card = holder.card = card;
    cards.push(card);
    visibilityObserver.observe(box);
    sizeObserver.observe(holder);
  }

  function addTable(parent, content) {
    const section = addElement("section", parent);
    section.id = `table-${byId("contents").childElementCount}`;
    addElement("h2", section, content.title);
    addLink(section.id, content.title);
    if (content.note) addElement("p", section, content.note, "note");
    if (!content.rows.length) return;
    const table = addElement("table", addElement("div", section, undefined, "scroll"), undefined, "data");
    const isNumber = content.names.map((_, i) => content.rows.some((row) => typeof row[i] === "number"));
    const head = addElement("tr", addElement("thead", table));
    content.names.forEach((name, i) => { addElement("th", head, name, isNumber[i] && i !== content.ratio_column ? "number" : "").scope = "col"; });
    const body = addElement("tbody", table);
    for (const row of content.rows) {
      const line = addElement("tr", body);
      row.forEach((value, i) => {
        if (i !== content.ratio_column) return addElement("td", line, valueText(value), isNumber[i] ? "number" : "");
        const cell = addElement("td", line, undefined, "ratio");
        addElement("span", cell, undefined, "bar").style.width = `${9 * value}rem`;
        cell.append(`${(100 * value).toFixed(1)} %`);
      });
    }
  }

  function addLink(id, title) {
    addElement("a", byId("contents"), title).href = `#${id}`;
  }

  function fillPage() {
    byId("kind").textContent = page.kind;
    byId("title").textContent = page.title;
    for (const [name, value] of page.facts) {
      const fact = addElement("div", byId("facts"));
      addElement("dt", fact, name);
      addElement("dd", fact, value);
    }
    byId("notes").hidden = !page.notes.length;
    for (const note of page.notes) addElement("li", byId("notes"), note);
    for (const table of page.tables_above) addTable(byId("tables-above"), table);
    for (const chart of page.charts) addCard(byId("cards"), chart);
    const lines = page.charts.flatMap((chart) => chart.lines);
    const axes = new Set(lines.flatMap((line) => Object.keys(line.x)));
    byId("charts").hidden = !cards.length;
    if (cards.length) addLink("charts", "Charts");
    for (const axis of Object.keys(page.axes).filter((name) => axes.has(name))) {
      addElement("option", byId("axis"), page.axes[axis]).value = axis;
    }
    if (axes.has(page.axis)) byId("axis").value = page.axis;
    settings.axis = byId("axis").value;
    for (const table of page.tables_below) addTable(byId("tables-below"), table);
  }

  function addListeners() {
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("axis").addEventListener("change", (event) => {
      settings.axis = event.target.value;
      zoomTo(null);
      refreshAll();
    });
    byId("smoothing").addEventListener("input", (event) => {
      settings.smoothing = Number(event.target.value);
      byId("weight").textContent = event.target.value;
      refreshAll();
    });
    byId("log").addEventListener("change", (event) => {
      settings.log = event.target.checked;
      refreshAll();
    });
    byId("filter").addEventListener("input", (event) => {
      const text = event.target.value.toLowerCase();
      for (const { box, chart } of cards) {
        const names = [chart.title, ...chart.lines.map((line) => line.name)];
        box.hidden = !names.some((name) => name.toLowerCase().includes(text));
      }
    });
    byId("reset").addEventListener("click", () => zoomTo(null));
  }

  fillPage();
  addListeners();
})(format);
