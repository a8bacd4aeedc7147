(({ make, shown, cut, ticks }) => {
  const { columns, page } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const root = getComputedStyle(document.documentElement);
  const [GRID, QUIET] = ["--grid", "--quiet"].map((name) => root.getPropertyValue(name));
  const RED = "#f85149", DASHES = [[], [7, 4], [2, 3]], MOST_SHOWN = 12;
  const TIMES = [[3600, "h"], [60, "min"], [1, "s"]];
  const settings = { axis: null, smoothing: 0, log: false, zoom: null };
  const cards = [];

  // A moving average that does not begin at zero, as TensorBoard's.
  function smoothed(values, weight) {
    let sum = 0, count = 0;
    return values.map((v) => {
      if (v === null) return null;
      sum = sum * weight + (1 - weight) * v;
      count += 1;
      return sum / (1 - weight ** count);
    });
  }

  // Points that have a place, ascending.
  function points(x, ys, divisor) {
    const at = [...x.keys()].filter((i) => x[i] !== null);
    if (at.some((i, n) => n && x[i] < x[at[n - 1]])) at.sort((i, j) => x[i] - x[j]);
    const visible = (v) => (v === null || (settings.log && v <= 0) ? null : v);
    return [at.map((i) => x[i] / divisor), ...ys.map((y) => at.map((i) => visible(y[i])))];
  }

  function axisOf(chart) {
    const has = (axis) => chart.lines.some((line) => axis in line.x);
    return has(settings.axis) ? settings.axis : Object.keys(chart.lines[0].x)[0];
  }

  // The columns of a chart, and how each of them is drawn.
  function drawing(chart, axis) {
    const lines = chart.lines.filter((line) => axis in line.x);
    const end = Math.max(...lines.flatMap((line) => columns[line.x[axis]].filter((x) => x !== null).slice(-1)));
    const [divisor, unit] = axis === "time" ? TIMES.find(([s]) => end >= 2 * s) ?? [1, "s"] : [1, ""];
    const tables = [], series = [], bands = [], gaps = [];
    const add = (table, ...options) => { tables.push(table); series.push(...options); };
    lines.forEach((line, place) => {
      const colour = page.colours[line.colour % page.colours.length];
      const dash = DASHES[Math.floor(line.colour / page.colours.length) % DASHES.length];
      const style = { stroke: line.faint ? colour + "70" : colour, width: line.faint ? 1 : 1.8, dash, show: place < MOST_SHOWN, group: place, scale: "y", pxAlign: 0, points: { size: 5, fill: colour } };
      const pale = { ...style, stroke: colour + "40", width: 1, class: "aside", points: { show: false } };
      const raw = points(columns[line.x[axis]], [columns[line.y]], divisor);
      raw[0].forEach((x, i) => { if (raw[1][i] === null) gaps.push(x); });
      const smooths = settings.smoothing > 0 && !line.around && !line.faint;
      if (line.around) {
        const edges = points(columns[line.x[axis]], line.around.map((c) => columns[c]), divisor);
        bands.push({ series: [series.length + 2, series.length + 1], fill: colour + "30" });
        add(edges, { ...pale, width: 0 }, { ...pale, width: 0 });
      }
      if (smooths) {
        const from = line.means ?? line;
        const table = points(columns[from.x[axis]], [columns[from.y]], divisor);
        add(raw, pale);
        add([table[0], smoothed(table[1], settings.smoothing)], { ...style, label: line.name });
      } else add(raw, { ...style, label: line.name });
    });
    return { data: uPlot.join(tables), series, bands, gaps, unit, left: chart.lines.length - lines.length };
  }

  // Crosses on the lower edge, where values are not finite or have no logarithm.
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

  function said(chart, axis, made) {
    const lines = [];
    const several = chart.lines.length > 1;
    for (const line of chart.lines) {
      const name = several ? `${line.name}: ` : "";
      if (line.means) lines.push(`${name}${shown(line.count)} values; of each ${shown(line.means.of)} the least and the greatest are drawn, and their mean is smoothed.`);
      if (line.missing) lines.push(`${name}${shown(line.missing)} of ${shown(line.count)} not finite.`);
    }
    if (settings.log && made.gaps.length > chart.lines.reduce((n, l) => n + l.missing, 0)) lines.push("What is not positive has no place on a log scale.");
    if (axis !== settings.axis) lines.push(`Not recorded by ${page.axes[settings.axis]}.`);
    else if (made.left) lines.push(`${made.left} not recorded by ${page.axes[axis]}.`);
    if (chart.lines.length > MOST_SHOWN) lines.push(`The first ${MOST_SHOWN} of ${chart.lines.length} are shown; the legend has the others.`);
    return lines.slice(0, 8).join("\n");
  }

  function whole(plot) {
    const xs = plot.data[0], [min, max] = [xs[0], xs[xs.length - 1]];
    return min < max ? { min, max } : { min: min - 1, max: min + 1 };
  }

  function draw(card) {
    const { chart } = card, axis = axisOf(chart), made = drawing(chart, axis);
    const hidden = card.hidden;
    made.series.forEach((s) => { s.show = hidden.has(s.group) ? hidden.get(s.group) : s.show; s.value = (_, v) => shown(v); });
    card.plot?.destroy();
    card.note.textContent = said(chart, axis, made);
    card.dirty = false;
    if (!made.data[0].length || !made.data.slice(1).some((ys) => ys.some((y) => y != null))) {
      card.plot = null;
      card.holder.textContent = settings.log ? "Nothing is finite and positive." : "None of the values is finite.";
      return;
    }
    card.holder.textContent = "";
    const label = page.axes[axis] + (made.unit ? ` (${made.unit})` : "");
    const look = { stroke: QUIET, grid: { stroke: GRID, width: 1 }, ticks: { stroke: GRID }, labelSize: 24, labelGap: 2, font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif" };
    const values = (_, splits) => ticks(splits);
    const size = (plot, labels) => 18 + 7 * Math.max(3, ...(labels ?? []).map((s) => (s ?? "").length));
    card.plot = new uPlot({
      width: card.holder.clientWidth, height: card.box.classList.contains("wide") ? 480 : 260,
      series: [{ label, value: (_, v) => shown(v) }, ...made.series],
      bands: made.bands,
      scales: { x: { time: false }, y: { distr: settings.log ? 3 : 1 } },
      axes: [{ ...look, label, values, size: 32 }, { ...look, label: cut(chart.label, 32), values, size }],
      cursor: { sync: { key: axis, setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } }, drag: { x: true, y: false, setScale: false }, focus: { prox: 24 }, bind: { dblclick: () => () => zoomTo(null) } },
      focus: { alpha: 0.35 },
      hooks: {
        draw: [markGaps(made.gaps)],
        setSelect: [(plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          zoomTo({ min: plot.posToVal(left, "x"), max: plot.posToVal(left + width, "x") });
        }],
        setSeries: [(plot, at, change) => { if (at && "show" in change) toggle(card, plot, at); }],
      },
    }, made.data, card.holder);
    card.plot.setScale("x", settings.zoom ?? whole(card.plot));
    for (const name of card.holder.querySelectorAll(".u-series:not(:first-child) th")) {
      name.tabIndex = 0;
      name.setAttribute("role", "button");
      name.addEventListener("keydown", (event) => { if (event.key === "Enter") name.click(); });
    }
  }

  // A line goes with what is drawn around and behind it.
  function toggle(card, plot, at) {
    const { group, show } = plot.series[at];
    card.hidden.set(group, show);
    plot.series.forEach((s, i) => { if (s.group === group && s.show !== show) plot.setSeries(i, { show }, false); });
  }

  function zoomTo(zoom) {
    settings.zoom = zoom;
    byId("reset").disabled = !zoom;
    for (const { plot } of cards) plot?.setScale("x", zoom ?? whole(plot));
  }

  // Charts are drawn when they are seen.
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      entry.target.card.near = entry.isIntersecting;
      refresh(entry.target.card);
    }
  }, { rootMargin: "300px" });
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const { plot } = target.card, width = target.clientWidth;
      if (plot && width && width !== plot.width) plot.setSize({ width, height: plot.height });
    }
  });
  function refresh(card) { if (card.near && card.dirty) draw(card); }
  function refreshAll() {
    for (const card of cards) { card.dirty = true; refresh(card); }
  }

  function addCard(parent, chart) {
    const box = make("article", parent, undefined, "card");
    const top = make("div", box, undefined, "top");
    make("h4", top, chart.title);
    const wider = make("button", top, "⤢");
    wider.type = "button";
    wider.title = "larger or smaller";
    wider.setAttribute("aria-label", `larger or smaller: ${chart.title}`);
    const holder = make("div", box, undefined, "plot"), note = make("p", box, "", "note");
    note.style.whiteSpace = "pre-line";
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", `${chart.title}: ${chart.lines.map((line) => line.name).slice(0, 20).join(", ")}`);
    const card = { box, holder, note, chart, hidden: new Map(), dirty: true, near: false };
    wider.addEventListener("click", () => { box.classList.toggle("wide"); draw(card); });
    box.card = holder.card = card;
    cards.push(card);
    seen.observe(box);
    resized.observe(holder);
  }

  function addTable(parent, told) {
    const section = make("section", parent);
    section.id = `table-${byId("contents").childElementCount}`;
    make("h2", section, told.title);
    link(section.id, told.title);
    if (told.note) make("p", section, told.note, "note");
    if (!told.rows.length) return;
    const table = make("table", make("div", section, undefined, "wrap"), undefined, "told");
    const isNumber = told.names.map((_, i) => told.rows.some((row) => typeof row[i] === "number"));
    const head = make("tr", make("thead", table));
    told.names.forEach((name, i) => { make("th", head, name, isNumber[i] && i !== told.share ? "number" : "").scope = "col"; });
    const body = make("tbody", table);
    for (const row of told.rows) {
      const line = make("tr", body);
      row.forEach((value, i) => {
        if (i !== told.share) return make("td", line, shown(value), isNumber[i] ? "number" : "");
        const cell = make("td", line, undefined, "share");
        make("span", cell, undefined, "bar").style.width = `${9 * value}rem`;
        cell.append(`${(100 * value).toFixed(1)} %`);
      });
    }
  }

  function link(id, title) {
    make("a", byId("contents"), title).href = `#${id}`;
  }

  function fill() {
    byId("kind").textContent = page.kind;
    byId("title").textContent = page.title;
    for (const [name, value] of page.facts) {
      const fact = make("div", byId("facts"));
      make("dt", fact, name);
      make("dd", fact, value);
    }
    byId("notes").hidden = !page.notes.length;
    for (const note of page.notes) make("li", byId("notes"), note);
    for (const told of page.first) addTable(byId("first"), told);
    for (const chart of page.charts) addCard(byId("cards"), chart);
    const lines = page.charts.flatMap((chart) => chart.lines);
    const axes = new Set(lines.flatMap((line) => Object.keys(line.x)));
    byId("charts").hidden = !cards.length;
    if (cards.length) link("charts", "Charts");
    for (const axis of Object.keys(page.axes).filter((name) => axes.has(name))) {
      make("option", byId("axis"), page.axes[axis]).value = axis;
    }
    if (axes.has(page.axis)) byId("axis").value = page.axis;
    settings.axis = byId("axis").value;
    for (const told of page.last) addTable(byId("last"), told);
  }

  function listen() {
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
      const wanted = event.target.value.toLowerCase();
      for (const { box, chart } of cards) {
        const names = [chart.title, ...chart.lines.map((line) => line.name)];
        box.hidden = !names.some((name) => name.toLowerCase().includes(wanted));
      }
    });
    byId("reset").addEventListener("click", () => zoomTo(null));
  }

  fill();
  listen();
})(words);
