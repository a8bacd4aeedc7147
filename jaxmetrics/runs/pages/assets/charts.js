"use strict";
/* Boards of chart cards, for frozen pages and for the viewer.

   const board = charts.board(element, { axes, provider, settings, onChange, marks, colors });
   axes:      label by axis, such as { step: "step", time: "training time" }
   provider:  { load(chart, { axis, min, max, points }) -> lines or a Promise of lines, whole }
              min and max are null for the whole range. `whole: true` says that load always
              returns everything, so that a zoom need not load again.
   chart:     { id, title, label, log, section, axes?, pooled?, lines: [{ name, color, faint?, show?, diverged? }] }
              `pooled` lines are one quantity of several runs: outlying runs do not rule the range;
              the range is not that of `diverged` ones, whose values beyond it are outliers;
              `axes` are those that it has, all by default; a color of null is that of texts.
   line data: { x, y, means?: { x, y, of }, band?: [low, high], count, missing }, or null for a
              line that is not recorded on the axis; in the order of chart.lines.
   marks:     [{ kind: "alarm" | "restart" | "evaluation" | "checkpoint", text, at: { step, time } }]
   settings:  { axis, zoom: { min, max } | null, ys, smoothing, log, logs, full, filter, hidden, events }
              smoothing is a share of the whole range of x, null for automatic; log is true, false, or null
              for what each chart chooses; ys (ranges of y: { min, max }), logs, full and hidden are by id of the chart.
   colors:    colors of the lines, those of the style sheet by default.
   board:     show(charts), refresh(ids?), set(settings), reset(), mark(marks), destroy(), and `settings`.
   controls.fill(form, board) fills a form with the controls of a board, and state.write and
   state.read turn settings into text for location.hash, and back. */
const charts = (() => {
  const { addButton, addElement, byteTickLabels, valueText, truncate, tickLabels } = format;
  const MAX_VISIBLE_LINES = 12, POINTS = 1500, PRINT_WIDTH = 680;
  const TIME_UNITS = [[86400 * 2, 86400, "d"], [7200, 3600, "h"], [120, 60, "min"], [0, 1, "s"]];
  const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]
    .concat([2, 5, 10, 20, 50, 100, 200, 500].map((days) => days * 86400));
  const SMALL_STEPS = [-3, -2, -1].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
  const BYTE_STEPS = [...Array(51).keys()].map((power) => 2 ** power);
  const DEFAULTS = { axis: null, zoom: null, smoothing: null, log: null, ys: null, logs: null, full: null, filter: "", hidden: null, events: true };
  const BY_CHART = ["ys", "logs", "full", "hidden"];
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // A copy without a prototype: any name of a run may be a key of it.
  const bare = (values) => Object.assign(Object.create(null), values);

  function cssColor(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function seriesColors() {
    const found = [...Array(8).keys()].map((i) => cssColor(`--series-${i}`));
    return found.filter(Boolean);
  }

  const isPower = (v) => Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9;
  const isBytes = (chart) => chart.label.endsWith("(bytes)");

  // Whether a chart matches a filter: all words, or a /regular expression/.
  function matcher(filter) {
    const text = (filter ?? "").trim().toLowerCase();
    if (text.startsWith("/") && text.length > 1) {
      try {
        const pattern = new RegExp(text.replace(/^\/|\/$/g, ""), "i");
        return (names) => names.some((name) => pattern.test(name));
      } catch { return () => false; }
    }
    const words = text.split(/\s+/).filter(Boolean);
    return (names) => names.some((name) => words.every((word) => name.toLowerCase().includes(word)));
  }

  function board(element, options) {
    const { axes, provider, onChange = () => {} } = options;
    const settings = { ...DEFAULTS, axis: Object.keys(axes)[0], ...options.settings };
    for (const name of BY_CHART) settings[name] = bare(settings[name]);
    const cards = new Map(), sections = new Map();
    element.classList.add("board");
    let events = options.marks ?? [], printing = false;

    const axisOf = (chart) => (!chart.axes || chart.axes.includes(settings.axis) ? settings.axis : chart.axes[0]);
    const isLog = (chart) => settings.logs[chart.id] ?? settings.log ?? Boolean(chart.log);
    const isShown = (chart, line, index) => {
      const hidden = bare(settings.hidden[chart.id])[line.name];
      return hidden === undefined ? line.show ?? index < MAX_VISIBLE_LINES : !hidden;
    };
    const change = () => onChange(settings);

    // Loads what a card needs, and draws it. Answers that a later request replaces are dropped.
    function load(card) {
      const axis = axisOf(card.chart), zoom = axis === settings.axis ? settings.zoom : null;
      const isWhole = provider.whole || !zoom, token = ++card.token;
      card.outdated = false;
      const range = isWhole ? { min: null, max: null } : zoom;
      const take = (data) => {
        if (token !== card.token) return;
        if (isWhole) Object.assign(card, { span: lines.extent(data), spanAxis: axis });
        Object.assign(card, { data, axis, problem: "" });
        draw(card);
      };
      const fail = (error) => {
        if (token !== card.token) return;
        card.problem = `This chart could not be loaded: ${error?.message ?? error}`;
        card.note.textContent = card.problem;
      };
      try {
        const answer = provider.load(card.chart, { axis, ...range, points: POINTS });
        if (typeof answer?.then === "function") answer.then(take, fail); else take(answer);
      } catch (error) { fail(error); }
    }

    function draw(card) {
      const { chart, data, axis } = card, log = isLog(chart);
      const end = lines.extent(data)?.max ?? 0;
      const [, divisor, unit] = axis === "time" ? TIME_UNITS.find(([least]) => end >= least) ?? [0, 1, "s"] : [0, 1, ""];
      const span = card.spanAxis === axis && card.span ? card.span : lines.extent(data);
      const content = lines.prepare(chart, data, {
        log, smoothing: settings.smoothing, span: span ? span.max - span.min : 0, range: lines.extent(data) && rangeOf(card),
        colors: options.colors ?? seriesColors(), text: cssColor("--text"),
        shown: (line, index) => isShown(chart, line, index),
      });
      Object.assign(card, { content, divisor, unit, log, events: settings.events ? events : [] });
      card.legend.update();
      card.logButton.setAttribute("aria-pressed", log);
      if (!content.data[0].length || !content.data.slice(1).some((ys) => ys.some((y) => y != null))) {
        card.plot?.destroy();
        card.plot = card.signature = null;
        card.holder.textContent = !content.drawn.length ? "Nothing is recorded." : log ? "None of the values is finite and positive." : "None of the values is finite.";
        writeNote(card);
        return;
      }
      const label = axes[axis] + (unit ? ` (${unit})` : "");
      const looks = content.series.map(({ label: name, stroke, width, dash, group }) => [name, stroke, width, dash, group]);
      const signature = JSON.stringify([label, log, looks, content.bands, card.box.classList.contains("wide"), printing, cssColor("--panel")]);
      if (card.plot && signature === card.signature) {
        content.series.forEach(({ show }, i) => { card.plot.series[i + 1].show = show; });
        card.plot.setData(content.data, false);
      } else {
        card.plot?.destroy();
        card.holder.textContent = "";
        card.range = rangeOf(card);
        card.plot = new uPlot(plotOptions(card, label), content.data, card.holder);
        card.mark = addElement("div", card.plot.over, undefined, "mark-text");
        card.mark.hidden = true;
        card.signature = signature;
      }
      setRange(card);
      writeNote(card);
    }

    function plotOptions(card, label) {
      const grid = cssColor("--grid"), muted = cssColor("--muted"), { content, log } = card;
      const style = { stroke: muted, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid }, labelSize: 24, labelGap: 2, font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif" };
      const size = (_, labels) => 18 + 7 * Math.max(3, ...(labels ?? []).map((text) => (text ?? "").length));
      const xs = { ...style, label, size: 32, values: (_, ticks) => tickLabels(ticks.map((v) => v / card.divisor)) };
      if (card.axis === "time") xs.incrs = [...SMALL_STEPS, ...TIME_STEPS];
      const ys = { ...style, label: truncate(card.chart.label, 32), values: (_, ticks) => tickLabels(ticks), size };
      // Of a logarithmic axis only the powers of ten have lines across the chart.
      if (log) ys.grid = { ...style.grid, filter: (_, ticks) => (ticks.filter(isPower).length > 1 ? ticks.map((v) => (isPower(v) ? v : null)) : ticks) };
      if (isBytes(card.chart) && !log) Object.assign(ys, { incrs: BYTE_STEPS, values: (_, ticks) => byteTickLabels(ticks) });
      const range = (plot) => {
        const { data, series } = plot, { min, max } = card.range, chosen = settings.ys[card.chart.id];
        if (chosen && chosen.min < chosen.max && (!log || chosen.min > 0)) {
          card.clipped = false;
          return [chosen.min, chosen.max];
        }
        const found = lines.yRange(data, series, min, max, { log, full: settings.full[card.chart.id], pooled: card.chart.pooled });
        card.clipped = Boolean(found?.clipped);
        if (!found) return log ? [0.1, 1] : [0, 1];
        if (log) return uPlot.rangeLog(found.min, found.max, 10, false);
        const gap = found.max - found.min || Math.abs(found.max) * 0.1 || 1;
        const bottom = found.min - 0.06 * gap;
        return [found.min >= 0 && bottom < 0 ? 0 : bottom, found.max + 0.06 * gap];
      };
      return {
        width: widthOf(card), height: printing ? 240 : card.box.classList.contains("wide") ? 480 : 260,
        series: [{ label }, ...content.series], bands: content.bands, legend: { show: false },
        scales: { x: { time: false }, y: { distr: log ? 3 : 1, range } },
        axes: [xs, ys],
        cursor: {
          sync: { key: card.axis, setSeries: false, filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
          drag: { x: true, y: false, setScale: false }, hover: { prox: legend.PROXIMITY }, focus: { prox: 24 },
          points: { show: (plot, s) => (plot.series[s].background ? false : undefined) },
          bind: { dblclick: () => () => reset() },
        },
        focus: { alpha: 0.35 },
        hooks: {
          draw: [(plot) => {
            marks.drawEvents(plot, card.events, card.axis, cssColor);
            marks.drawGaps(plot, card.content.drawn, cssColor);
            writeClip(card, card.clipped ? marks.drawOutliers(plot, card.content.drawn) : 0);
          }],
          setCursor: [(plot) => { card.legend.read(plot); showMark(card, plot); }],
          setSelect: [(plot) => {
            const { left, top, width, height } = plot.select, isY = plot.cursor.drag.y;
            if ((isY ? height : width) < 4) return;
            plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
            if (isY) zoomY(card, { min: plot.posToVal(top + height, "y"), max: plot.posToVal(top, "y") });
            else zoomTo({ min: plot.posToVal(left, "x"), max: plot.posToVal(left + width, "x") });
          }],
        },
      };
    }

    function widthOf(card) { return printing ? PRINT_WIDTH : card.holder.clientWidth || 400; }

    function rangeOf(card) {
      if (settings.zoom && card.axis === settings.axis) return settings.zoom;
      const { min, max } = lines.extent(card.data);
      return min < max ? { min, max } : { min: min - 1, max: max + 1 };
    }

    // The range of y is asked for before the plot has the new range of x, so the card has it.
    function setRange(card, range = rangeOf(card)) {
      card.range = range;
      card.plot?.setScale("x", range);
    }

    // Text of the event under the pointer.
    function showMark(card, plot) {
      const { left } = plot.cursor, isHere = card.holder.matches(":hover, :focus");
      const near = left >= 0 && isHere ? marks.eventsAt(plot, card.events, card.axis).filter((one) => Math.abs(one.left - left) < 5) : [];
      if (!card.mark) return;
      card.mark.hidden = !near.length;
      if (!near.length) return;
      card.mark.textContent = near.slice(0, 3).map(({ event }) => event.text).join("\n");
      card.mark.style.left = `${Math.min(left, plot.over.clientWidth / 2)}px`;
    }

    // Sentences about values that a chart does not show as they are.
    function writeNote(card) {
      const { chart, axis, data, content, log } = card, notes = [];
      const several = chart.lines.length > 1;
      let missing = 0;
      chart.lines.forEach((line, i) => {
        const own = data[i], name = several ? `${line.name}: ` : "";
        if (!own) return;
        missing += own.missing ?? 0;
        if (own.missing) notes.push(`${name}${valueText(own.missing)} of ${valueText(own.count)} not finite.`);
      });
      const reduced = data.filter((own) => own?.means && !own.sampled);
      if (reduced.length) {
        const of = [...new Set(reduced.map((own) => own.means.of))], size = of.length > 1 ? `${valueText(Math.min(...of))} or more` : valueText(of[0]);
        const count = reduced.length > 1 ? `${reduced.length} lines have up to ${valueText(Math.max(...reduced.map((own) => own.count)))} values` : `${valueText(reduced[0].count)} values`;
        notes.push(`${count}; the minimum and maximum of each ${size} are drawn.`);
      }
      if (log && content.drawn.reduce((n, one) => n + one.gaps.length, 0) > missing) notes.push("Values that are not positive are not shown on a log scale.");
      if (data.some((own) => own?.sampled)) notes.push("Samples of a long record, which is still being read.");
      const absent = data.filter((own) => !own).length;
      if (axis !== settings.axis) notes.push(`Not recorded by ${axes[settings.axis]}.`);
      else if (absent && absent < data.length) notes.push(`${absent} not recorded by ${axes[axis]}.`);
      const shown = content.drawn.filter((one) => one.show).length;
      if (shown < content.drawn.length && content.drawn.length > MAX_VISIBLE_LINES) notes.push(`${shown} of ${content.drawn.length} lines are shown; click a name to show another.`);
      card.note.textContent = notes.slice(0, 6).join("\n");
    }

    // How many outliers are marked at the edge, with a button for the whole range of y.
    function writeClip(card, count) {
      const { chart } = card, isFull = Boolean(settings.full[chart.id]), text = `${count} ${isFull}`;
      if (card.clip.dataset.text === text) return;
      card.clip.dataset.text = text;
      card.clip.textContent = count ? `${valueText(count)} ${count === 1 ? "outlier is" : "outliers are"} marked at the edge. ` : "";
      if (!count && !isFull) return;
      const label = isFull ? "leave outliers out" : "show all";
      addButton(card.clip, label, `${label}: ${chart.title}`, "link").addEventListener("click", () => {
        if (isFull) delete settings.full[chart.id]; else settings.full[chart.id] = true;
        card.signature = null; // the scale of y is decided when a plot is made
        draw(card);
        change();
      });
    }

    function zoomTo(zoom) {
      settings.zoom = zoom;
      for (const card of cards.values()) {
        if (provider.whole) { // automatic smoothing goes by the range that is shown
          if (card.plot && !card.outdated) { if (settings.smoothing === null) draw(card); else setRange(card); }
        }
        else { if (card.data && card.plot) setRange(card); card.outdated = true; renew(card); }
      }
      controls?.update();
      change();
    }

    function zoomY(card, range) {
      settings.ys[card.chart.id] = range;
      draw(card);
      controls?.update();
      change();
    }

    // Shows the whole range of all charts.
    function reset() {
      const ids = Object.keys(settings.ys);
      Object.assign(settings, { ys: bare(), zoom: null }); // the range of y follows that of x
      for (const id of ids) if (cards.has(id)) redraw(cards.get(id));
      zoomTo(null);
    }

    // Charts are loaded and drawn when they come near the visible part of the page.
    const visibility = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        target.card.near = isIntersecting;
        renew(target.card);
      }
    }, { rootMargin: "300px" });
    const sizes = new ResizeObserver((entries) => {
      for (const { target } of entries) {
        const { plot } = target.card, width = target.clientWidth;
        if (plot && width && width !== plot.width && !printing) plot.setSize({ width, height: plot.height });
      }
    });
    function renew(card) { if (card.near && card.outdated) load(card); }
    function redraw(card) { if (card.data && card.near) draw(card); else card.outdated = true; }
    function redrawAll() { for (const card of cards.values()) redraw(card); }

    function addCard(chart) {
      const box = addElement("article", undefined, undefined, "card");
      const top = addElement("div", box, undefined, "top"), title = addElement("h4", top, chart.title);
      const tools = addElement("div", top, undefined, "tools");
      const logButton = addButton(tools, "log", `log scale: ${chart.title}`);
      const png = addButton(tools, "PNG", `save as PNG: ${chart.title}`), svg = addButton(tools, "SVG", `save as SVG: ${chart.title}`);
      const sizeButton = addButton(tools, "⤢", `larger or smaller: ${chart.title}`);
      const holder = addElement("div", box, undefined, "plot");
      holder.tabIndex = 0;
      holder.setAttribute("role", "img");
      const card = { box, holder, title, logButton, chart, token: 0, outdated: true, near: false, events: [] };
      card.legend = legend.add(card, addElement("div", box, undefined, "legend"), { axes, isBytes, onToggle: (one) => toggle(card, one) });
      card.clip = addElement("p", box, "", "note clip");
      card.note = addElement("p", box, "", "note");
      logButton.addEventListener("click", () => { settings.logs[card.chart.id] = !card.log; redraw(card); change(); });
      png.addEventListener("click", async () => { if (card.plot) saving.download(await saving.pngOf(card, cssColor), `${card.chart.title}.png`); });
      svg.addEventListener("click", () => { if (card.plot) saving.download(new Blob([saving.svgOf(card, cssColor)], { type: "image/svg+xml" }), `${card.chart.title}.svg`); });
      sizeButton.addEventListener("click", () => { box.classList.toggle("wide"); redraw(card); });
      holder.addEventListener("keydown", (event) => keyboard.steer(card, event, (zoom) => (zoom ? zoomTo(zoom) : reset())));
      // With shift a drag is over y, of this chart alone.
      holder.addEventListener("mousedown", (event) => { if (card.plot) Object.assign(card.plot.cursor.drag, { x: !event.shiftKey, y: event.shiftKey }); }, true);
      touch.follow(card, { zoomed: () => Boolean(settings.zoom), extent: () => (card.spanAxis === card.axis ? card.span : null), show: (range) => setRange(card, range), zoomTo });
      holder.addEventListener("blur", () => card.plot?.setCursor({ left: -10, top: -10 }));
      box.card = holder.card = card;
      describe(card, chart);
      cards.set(chart.id, card);
      visibility.observe(box);
      sizes.observe(holder);
      return card;
    }

    function describe(card, chart) {
      card.chart = chart;
      card.title.textContent = chart.title;
      const names = chart.lines.map((line) => line.name).slice(0, 20).join(", ");
      card.holder.setAttribute("aria-label", `${chart.title}: ${names}. ${keyboard.HELP}`);
    }

    function toggle(card, { line, show }) {
      settings.hidden[card.chart.id] = Object.assign(bare(settings.hidden[card.chart.id]), { [line.name]: show });
      redraw(card);
      change();
    }

    function applyFilter() {
      const matches = matcher(settings.filter);
      for (const { box, chart } of cards.values()) box.hidden = !matches([chart.title, chart.id, ...chart.lines.map((line) => line.name)]);
      for (const { node, grid } of sections.values()) {
        const count = [...grid.children].filter((box) => !box.hidden).length;
        node.hidden = !count;
        node.classList.toggle("single", count === 1);
      }
    }

    function show(list) {
      const kept = new Set(list.map((chart) => chart.id)), names = new Set(list.map((chart) => chart.section ?? ""));
      for (const [id, card] of cards) {
        if (kept.has(id)) continue;
        visibility.unobserve(card.box);
        sizes.unobserve(card.holder);
        card.token += 1;
        card.plot?.destroy();
        card.box.remove();
        cards.delete(id);
      }
      for (const [name, { node }] of sections) if (!names.has(name)) { node.remove(); sections.delete(name); }
      let before = null;
      for (const name of names) {
        if (!sections.has(name)) {
          const node = addElement("section", undefined, undefined, "charts-section");
          if (name) addElement("h3", node, name);
          sections.set(name, { node, grid: addElement("div", node, undefined, "cards") });
        }
        const { node } = sections.get(name);
        if ((before ? before.nextSibling : element.firstChild) !== node) element.insertBefore(node, before ? before.nextSibling : element.firstChild);
        before = node;
      }
      const places = new Map();
      for (const chart of list) {
        const card = cards.get(chart.id) ?? addCard(chart), { grid } = sections.get(chart.section ?? "");
        if (JSON.stringify(card.chart) !== JSON.stringify(chart)) { describe(card, chart); card.outdated = true; renew(card); }
        const place = places.has(grid) ? places.get(grid) : grid.firstChild;
        if (place !== card.box) grid.insertBefore(card.box, place);
        places.set(grid, card.box.nextSibling);
      }
      applyFilter();
      controls?.update();
    }

    function set(changes) {
      const old = { axis: settings.axis, zoom: JSON.stringify(settings.zoom), filter: settings.filter };
      Object.assign(settings, changes);
      for (const name of BY_CHART) settings[name] = bare(settings[name]);
      if (settings.axis !== old.axis && !("zoom" in changes)) settings.zoom = null;
      const zoomed = JSON.stringify(settings.zoom) !== old.zoom;
      if (settings.filter !== old.filter) applyFilter();
      if (settings.axis !== old.axis || (zoomed && !provider.whole)) {
        for (const card of cards.values()) { card.outdated = true; renew(card); }
      } else redrawAll();
      controls?.update();
    }

    function refresh(ids) {
      for (const [id, card] of cards) {
        if (ids && !ids.includes(id)) continue;
        card.outdated = true;
        renew(card);
      }
    }

    // A printed page has all charts, one below the other, in light colors.
    function print(on) {
      printing = on;
      document.documentElement.classList.toggle("printing", on);
      for (const card of cards.values()) {
        if (card.box.hidden) continue;
        if (on && card.outdated) load(card); else if (card.data) draw(card);
      }
    }
    const beforePrint = () => print(true), afterPrint = () => print(false);
    addEventListener("beforeprint", beforePrint);
    addEventListener("afterprint", afterPrint);
    dark.addEventListener("change", redrawAll);

    function destroy() {
      removeEventListener("beforeprint", beforePrint);
      removeEventListener("afterprint", afterPrint);
      dark.removeEventListener("change", redrawAll);
      visibility.disconnect();
      sizes.disconnect();
      for (const card of cards.values()) card.plot?.destroy();
      element.textContent = "";
    }

    let controls = null;
    return {
      axes, settings, show, refresh, set, destroy, zoomTo, reset, cards,
      mark(list) { events = list; redrawAll(); },
      change(changes) { set(changes); change(); },
      bind(made) { controls = made; },
    };
  }

  return { board };
})();
