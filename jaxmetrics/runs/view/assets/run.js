"use strict";
// The page of one run: what it is and does, alarms, charts by section, layers, time.
const runView = (() => {
  const { addElement } = format;
  const AFTER_LAYERS = new Set(["Gradients", "Speed", "Memory", "Other"]);
  const MAX_CHIPS = 12, ZOOM_SHARE = 0.008;

  function mount(root, route) {
    const id = route.path.join("/");
    let state = route.state, details = null, keys = null, events = [], destroyed = false, allAlarms = false;
    const boards = [], heatmaps = new Map();

    root.classList.add("run");
    const head = addElement("section", root, undefined, "head");
    const title = addElement("div", head, undefined, "title");
    addElement("h1", title, id);
    const status = addElement("span", title, "reading…", "status");
    const links = addElement("span", title, undefined, "links");
    const media = addElement("a", links, "Media");
    media.href = router.href("media", [], { runs: choices.join([id]) });
    const notes = addElement("ul", head, undefined, "notes");
    const facts = addElement("dl", head, undefined, "facts");
    const chips = addElement("div", head, undefined, "chips");
    const bar = addElement("div", root, undefined, "sticky");
    const contents = addElement("nav", bar, undefined, "contents");
    contents.setAttribute("aria-label", "Sections");
    const form = addElement("form", bar, undefined, "controls");
    const body = addElement("div", root, undefined, "body");
    const parts = {
      first: addElement("div", body, undefined, "board"), layers: addElement("section", body, undefined, "layers"),
      second: addElement("div", body, undefined, "board"), time: addElement("section", body, undefined, "time"),
      attempts: addElement("section", body), config: addElement("section", body),
    };
    parts.layers.hidden = true;

    const settings = () => chartstate.read(state);

    function onChange(board) {
      return (changed) => {
        router.update(chartstate.patch(changed), true);
        state = router.current.state;
        for (const other of boards) if (other !== board()) other.set(structuredClone(changed));
        showZoom();
      };
    }

    function makeBoard(element) {
      const board = charts.board(element, {
        axes: axes(), provider: { load: loadLines }, settings: settings(), marks: marksOf(events),
        onChange: onChange(() => board),
      });
      boards.push(board);
      return board;
    }

    const axes = () => Object.fromEntries((keys.axes ?? ["step"]).map((axis) => [axis, chartstate.AXES[axis] ?? axis]));

    async function loadLines(chart, range) {
      return Promise.all(chart.lines.map((line) => api.series(id, line.source, range)));
    }

    function marksOf(list) {
      return list.filter(({ at }) => at).map(({ kind, text, at }) => ({ kind, text: text || kind, at }));
    }

    // Charts of the run for a board. Validation is drawn first, then training.
    function chartsOf(wanted) {
      return keys.charts.filter((chart) => wanted(chart)).map((chart) => ({
        id: chart.id, title: chart.title, label: chart.label ?? chart.title, log: Boolean(chart.log), section: chart.section,
        lines: chart.keys.map((key, color) => ({ name: key, color, source: key })),
      }));
    }

    function showCharts() {
      const hasLayers = keys.layers?.length > 0;
      const isSecond = (chart) => hasLayers && AFTER_LAYERS.has(chart.section);
      if (!boards.length) {
        makeBoard(parts.first);
        makeBoard(parts.second);
        controls.fill(form, boards[0]);
      }
      boards[0].show(chartsOf((chart) => !isSecond(chart)));
      boards[1].show(chartsOf(isSecond));
      showLayers();
      showContents();
    }

    // Heatmaps of layers by step, the layer with the largest value on top.
    function showLayers() {
      const layers = keys.layers ?? [];
      parts.layers.hidden = !layers.length;
      if (layers.length && !parts.layers.firstChild) {
        addElement("h3", parts.layers, "Layers");
        addElement("p", parts.layers, "Largest value of each layer in each stretch; the layer that reached the most is on top. Colors are of the logarithm.", "note");
        addElement("div", parts.layers, undefined, "cards heat");
      }
      const grid = parts.layers.querySelector(".heat");
      for (const layer of layers) {
        if (heatmaps.has(layer.id)) continue;
        const card = addElement("article", grid, undefined, "card");
        addElement("h4", card, layer.title);
        const shown = { card, holder: addElement("div", card), note: addElement("p", card, "", "note"), near: false, outdated: true, turn: 0, layer, plot: null };
        card.heat = shown;
        heatmaps.set(layer.id, shown);
        visibility.observe(card);
      }
    }

    const visibility = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        target.heat.near = isIntersecting;
        loadHeat(target.heat);
      }
    }, { rootMargin: "300px" });

    async function loadHeat(heat) {
      if (!heat.near || !heat.outdated) return;
      heat.outdated = false;
      const turn = ++heat.turn, { axis, zoom } = settings();
      try {
        const answer = await api.get(api.runPath(id, "layers"), { id: heat.layer.id, x: axis, columns: 300, from: zoom?.min, to: zoom?.max });
        if (turn !== heat.turn || destroyed) return;
        drawHeat(heat, answer, axis, zoom);
      } catch (error) {
        heat.note.textContent = error.message;
      }
    }

    const placeText = (v, axis) => (axis === "step" ? v.toLocaleString("en-US") : stats.short(v));

    // The part of an axis that is in a window; of steps the first and the last.
    function rangeText(middle, width, axis) {
      const low = middle - width / 2, high = middle + width / 2;
      if (axis !== "step") return `${stats.short(low)} to ${stats.short(high)}`;
      const first = Math.ceil(low - 1e-6), last = Math.max(Math.ceil(high - 1e-6) - 1, first);
      return first === last ? placeText(first, axis) : `${placeText(first, axis)} to ${placeText(last, axis)}`;
    }

    function drawHeat(heat, { layers, x, width, values, largest }, axis, zoom) {
      const inside = x.map((v, i) => i).filter((i) => !zoom || (x[i] >= zoom.min && x[i] <= zoom.max));
      const peak = (line) => inside.reduce((top, i) => (line[i] !== null && line[i] > top ? line[i] : top), -Infinity);
      const order = layers.map((name, i) => ({ name, line: values[i], peak: peak(values[i]) })).sort((a, b) => b.peak - a.peak);
      const known = order.flatMap(({ line }) => inside.map((i) => line[i])).filter((v) => v !== null);
      if (!known.length) {
        heat.plot?.destroy();
        heat.plot = null;
        heat.note.textContent = "Nothing is recorded in this range.";
        return;
      }
      const log = known.every((v) => v >= 0) && known.some((v) => v > 0);
      const options = plots.heatmap({
        xs: inside.map((i) => x[i]), rows: order.map(({ name }) => name), values: order.map(({ line }) => inside.map((i) => (log && line[i] === 0 ? null : line[i]))),
        ranges: inside.map((i) => rangeText(x[i], width, axis)), log, xName: chartstate.AXES[axis] ?? axis, valueName: heat.layer.title,
        left: Math.min(28 + 6.5 * Math.max(...layers.map((name) => name.length)), 160),
      });
      const top = order[0], at = inside.find((i) => top.line[i] === top.peak), exact = largest[layers.indexOf(top.name)];
      const where = exact !== null && Math.abs(exact - x[at]) <= width ? placeText(exact, axis) : rangeText(x[at], width, axis);
      heat.note.textContent = `Largest: ${top.name}, ${stats.short(top.peak)} at ${chartstate.AXES[axis] ?? axis} ${where}.`;
      if (heat.plot) heat.plot.show(options);
      else heat.plot = plots.create(heat.holder, { height: Math.min(96 + 18 * Math.min(layers.length, 28), 600), label: `${heat.layer.title} of each layer by ${axis}`, options });
    }

    function showContents() {
      contents.textContent = "";
      const sections = [...body.querySelectorAll("h3")].filter((h) => !h.closest("[hidden]") && h.parentElement.closest(".body"));
      for (const section of sections) ui.button(contents, section.textContent, () => section.scrollIntoView({ behavior: "instant", block: "start" }), { className: "link" });
    }

    function showHead() {
      const { row } = details;
      document.title = `${id} · jaxmetrics`;
      status.textContent = "";
      ui.stateChip(status, row.state);
      if (row.progress !== null && row.progress !== undefined) {
        ui.progressBar(status, row.progress);
        addElement("span", status, `${stats.percent(row.progress)} of ${stats.short(row.total_steps)} steps`, "muted");
      } else addElement("span", status, `step ${stats.short(row.step)}`, "muted");
      const left = stats.secondsLeft(row);
      if (left !== null) addElement("span", status, `${stats.duration(left)} left`, "muted left");
      if (row.state === "running") addElement("span", status, `updated ${stats.ago(row.updated)}`, "muted");
      facts.textContent = "";
      for (const [name, text] of details.facts ?? []) {
        if (name === "Run") continue; // it is the heading
        ui.fact(facts, name, typeof text === "number" ? stats.short(text) : text);
      }
      notes.textContent = "";
      for (const note of [row.problem, ...(details.notes ?? [])].filter(Boolean)) addElement("li", notes, note);
      notes.hidden = !notes.childElementCount;
      showTime();
    }

    // Values of nested mappings by their dotted names.
    function flatten(value, name = "") {
      if (value === null || typeof value !== "object" || Array.isArray(value)) return [[name, Array.isArray(value) ? JSON.stringify(value) : typeof value === "boolean" ? String(value) : value]];
      const items = Object.entries(value);
      if (!items.length && name) return [[name, "{}"]];
      return items.flatMap(([key, inner]) => flatten(inner, name ? `${name}.${key}` : key));
    }

    const alarms = () => events.filter(({ kind }) => kind === "alarm");

    // Chips of alarms. A click zooms the charts to the surroundings of the alarm.
    function showChips() {
      const list = alarms(), count = stats.alarmCount(list);
      chips.textContent = "";
      if (count) addElement("span", chips, `${count.toLocaleString("en-US")} ${count === 1 ? "alarm" : "alarms"}`, "label");
      for (const alarm of allAlarms ? list : list.slice(0, MAX_CHIPS)) {
        const where = alarm.at?.step;
        const chip = ui.button(chips, "", () => zoomTo(alarm), { className: "chip alarm", title: alarm.text });
        addElement("span", chip, format.truncate(alarm.text || alarm.key || "alarm", 60));
        if (Number.isFinite(where)) addElement("span", chip, `step ${where.toLocaleString("en-US")}`, "muted");
        chip.disabled = !alarm.at;
      }
      if (list.length > MAX_CHIPS) ui.button(chips, allAlarms ? "fewer" : `all ${list.length}`, () => { allAlarms = !allAlarms; showChips(); }, { className: "link" });
      showZoom();
    }

    function zoomTo(event) {
      const { axis } = settings(), at = event.at?.[axis] ?? event.at?.step;
      const useAxis = event.at?.[axis] === undefined || event.at?.[axis] === null ? "step" : axis;
      if (!Number.isFinite(at)) return;
      const end = useAxis === "step" ? details.row.step : useAxis === "time" ? details.row.elapsed : Math.max(...events.map((e) => e.at?.[useAxis] ?? 0));
      const width = Math.max((end || at) * ZOOM_SHARE, useAxis === "step" ? 10 : 1e-3);
      // The spike itself is what a person wants to see, so it is no outlier here.
      const own = keys.charts.filter((chart) => chart.keys.includes(event.key)).map((chart) => [chart.id, true]);
      setCharts({ axis: useAxis, zoom: { min: Math.max(at - width, 0), max: at + width }, full: { ...settings().full, ...Object.fromEntries(own) } });
      parts.first.scrollIntoView({ behavior: "instant", block: "start" });
    }

    function setCharts(changes) {
      router.update(chartstate.patch({ ...settings(), ...changes }));
      update(router.current);
    }

    function showZoom() {
      let box = form.parentElement.querySelector(".zoomed");
      const { zoom, axis } = settings();
      for (const heat of heatmaps.values()) {
        const range = JSON.stringify([axis, zoom]);
        if (heat.range !== range) { heat.range = range; heat.outdated = true; loadHeat(heat); }
      }
      if (!zoom) { box?.remove(); return; }
      if (!box) {
        box = addElement("p", bar, undefined, "zoomed");
        addElement("span", box);
        ui.button(box, "whole run", () => setCharts({ zoom: null, ys: {} }), { className: "link" });
      }
      box.firstChild.textContent = `${chartstate.AXES[axis] ?? axis} ${stats.short(Math.round(zoom.min * 100) / 100)} to ${stats.short(Math.round(zoom.max * 100) / 100)}`;
    }

    function showTime() {
      const { time, attempts, config } = parts;
      time.textContent = attempts.textContent = config.textContent = "";
      addElement("h3", time, "Where the time went");
      if (!timeline.shares(time, details.goodput)) addElement("p", time, "The run recorded no events that tell.", "note");
      const list = timeline.attempts(details.attempts ?? [], events, details.row);
      timeline.bands(time, list);
      addElement("h3", attempts, "Attempts");
      if (list.length) tables.add(attempts, timeline.attemptTable(list));
      else addElement("p", attempts, "None is recorded.", "note");
      addElement("h3", config, "Configuration");
      const rows = flatten(details.config ?? {});
      if (rows.length) tables.add(config, { names: ["name", "value"], rows });
      else addElement("p", config, "None is recorded.", "note");
      if (keys) showContents();
    }

    async function load() {
      try {
        const [answer, arranged, happened] = await Promise.all([
          api.get(api.runPath(id)), api.get(api.runPath(id, "keys")), api.get(api.runPath(id, "events")),
        ]);
        if (destroyed) return;
        const isSame = JSON.stringify(keys?.charts) === JSON.stringify(arranged.charts) && JSON.stringify(keys?.layers) === JSON.stringify(arranged.layers);
        const sameEvents = JSON.stringify(events) === JSON.stringify(happened.events);
        details = answer;
        keys = arranged;
        events = happened.events ?? [];
        ui.message(null);
        showHead();
        if (!isSame || !boards.length) showCharts();
        if (!sameEvents) for (const board of boards) board.mark(marksOf(events));
        showChips();
      } catch (error) {
        if (destroyed || error.name === "AbortError") return;
        ui.message(error.status === 404 ? `${id} is not there: ${error.message}` : error.message);
        if (!details) { body.hidden = bar.hidden = true; } else { status.textContent = ""; ui.stateChip(status, error.status === 404 ? "deleted" : "unknown"); }
      }
    }

    function update(next) {
      state = next.state;
      for (const board of boards) board.set(settings());
      showZoom();
    }

    const reload = api.throttle(async () => {
      body.hidden = bar.hidden = false;
      await load();
      await api.settled();
      if (!destroyed) for (const board of boards) board.refresh();
    }, 1000);
    const reloadHeat = api.throttle(() => {
      for (const heat of heatmaps.values()) { heat.outdated = true; loadHeat(heat); }
    }, 5000);
    load();
    return {
      title: id, update,
      // Asks for all that the page can show, for a view that is saved.
      async complete() {
        const { axis } = settings(), range = { axis, min: null, max: null, points: 1500 };
        await Promise.all((keys?.charts ?? []).flatMap((chart) => chart.keys.map((key) => api.series(id, key, range))));
        if (keys?.layers?.length) await plots.load();
        await Promise.all((keys?.layers ?? []).map((layer) => api.get(api.runPath(id, "layers"), { id: layer.id, x: axis, columns: 300 })));
      },
      changed(runs) {
        if (runs && !runs.some((run) => run.id === id)) return;
        reload();
        reloadHeat();
      },
      destroy() {
        destroyed = true;
        reload.cancel();
        reloadHeat.cancel();
        visibility.disconnect();
        for (const board of boards) board.destroy();
        for (const { plot } of heatmaps.values()) plot?.destroy();
      },
    };
  }

  return { mount };
})();
