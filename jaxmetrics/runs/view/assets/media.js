"use strict";
// Media over steps: one slider for all, keys as rows and runs beside each other.
const mediaView = (() => {
  const { addElement } = format;
  const MAX_RUNS = 4, MAX_SHOWN = 60, OVER_STEPS = new Set(["histogram", "holdout"]);

  function mount(root, route) {
    let state = route.state, runs = [], listing = new Map(), rows = new Map(), steps = [], destroyed = false, turn = 0, playing = null;
    const contents = new Map();

    root.classList.add("media");
    const bar = addElement("form", root, undefined, "toolbar sticky");
    bar.addEventListener("submit", (event) => event.preventDefault());
    ui.menu(bar, "Runs", () => runs.map((run) => ({ id: run.id, text: run.id, checked: shownRuns().includes(run.id) })), (id, on) => {
      const ids = shownRuns();
      change({ runs: choices.join(on ? [...ids, id] : ids.filter((other) => other !== id)) || "none" });
    }, { limit: MAX_RUNS, note: `Up to ${MAX_RUNS} runs beside each other.` });
    const kinds = ui.select(bar, "show", [["", "all kinds"]], "", (kind) => change({ kind: kind || null }));
    ui.select(bar, "differences", [["run", "to the first run"], ["step", "to the step before"], ["off", "off"]], state.diff ?? "run", (value) => change({ diff: value === "run" ? null : value }));
    const play = ui.button(bar, "▶", togglePlay, { title: "play the steps", label: "Play the steps" });
    const slider = addElement("input", addElement("label", bar, "step ", "slider"));
    slider.type = "range";
    slider.min = 0;
    slider.setAttribute("aria-label", "step");
    const position = addElement("output", bar);
    slider.addEventListener("input", () => change({ step: String(steps[Number(slider.value)]) }, true));
    const grid = addElement("div", root, undefined, "media-grid");

    function change(patch, replace) {
      router.update(patch, replace);
      update(router.current);
    }

    function togglePlay() {
      if (playing) { clearInterval(playing); playing = null; } else {
        if (Number(slider.value) >= steps.length - 1) change({ step: String(steps[0]) }, true);
        playing = setInterval(() => {
          const next = steps[stepIndex() + 1];
          if (next === undefined) togglePlay(); else change({ step: String(next) }, true);
        }, 700);
      }
      play.textContent = playing ? "❚❚" : "▶";
    }

    function shownRuns() {
      if (state.runs) return choices.split(state.runs).filter((id) => id !== "none").slice(0, MAX_RUNS);
      return runs.slice(0, 1).map((run) => run.id);
    }

    function stepIndex() {
      const wanted = Number(state.step ?? NaN);
      if (!Number.isFinite(wanted)) return steps.length - 1;
      let index = 0;
      steps.forEach((step, i) => { if (step <= wanted) index = i; });
      return index;
    }

    // Name of a row: kind and key, without the split that the key begins with.
    const rowId = (entry) => JSON.stringify([entry.kind, entry.key]);

    async function content(id, entry) {
      const name = JSON.stringify([id, entry, listing.get(id)?.version]);
      if (!contents.has(name)) {
        if (contents.size > 400) contents.delete(contents.keys().next().value);
        const { kind, key, step } = entry;
        contents.set(name, api.get(api.runPath(id, "media"), { kind, key, step }).catch((error) => { contents.delete(name); throw error; }));
      }
      return contents.get(name);
    }

    function atOrBefore(list, step) {
      let found = null;
      for (const entry of list) if (entry.step <= step) found = entry;
      return found;
    }

    const entriesOf = (id, row) => (listing.get(id)?.entries ?? []).filter((entry) => rowId(entry) === row);

    // Rows are built once; a change of the step fills their cells again.
    function showRows() {
      const ids = shownRuns(), names = new Map();
      for (const id of ids) for (const entry of listing.get(id)?.entries ?? []) names.set(rowId(entry), entry);
      const kindNames = [...new Set([...names.values()].map((entry) => entry.kind))].sort();
      kinds.fill([["", "all kinds"], ...kindNames], state.kind ?? "");
      const order = ["text", "table", "array", "holdout", "image", "figure", "audio", "histogram"];
      const listed = [...names].filter(([, entry]) => !state.kind || entry.kind === state.kind)
        .sort(([, a], [, b]) => order.indexOf(a.kind) - order.indexOf(b.kind) || a.key.localeCompare(b.key, "en", { numeric: true }));
      steps = [...new Set(listed.flatMap(([row]) => ids.flatMap((id) => entriesOf(id, row).map((entry) => entry.step))))].sort((a, b) => a - b);
      slider.max = Math.max(steps.length - 1, 0);
      slider.disabled = play.disabled = steps.length < 2;
      for (const row of rows.values()) clear(row);
      rows = new Map();
      grid.textContent = "";
      grid.style.setProperty("--runs", String(Math.max(ids.length, 1)));
      grid.dataset.runs = String(ids.length);
      if (!listed.length) {
        const text = !runs.length ? "There are no runs." : !ids.length ? "Choose runs above." : "These runs recorded no texts, tables, images, histograms or arrays.";
        ui.emptyState(grid, "Nothing to show", `${text} A loop records them by log_text, log_table, log_images, log_histograms and log_audio.`);
        position.textContent = "";
        return;
      }
      if (ids.length) {
        const head = addElement("div", grid, undefined, "media-row names");
        for (const id of ids) addElement("a", head, id).href = router.href("run", id.split("/"));
      }
      for (const [id, entry] of listed) {
        const section = addElement("section", grid, undefined, "media-section");
        const title = addElement("h3", section, entry.key);
        addElement("span", title, entry.kind === "array" ? "" : entry.kind, "kind");
        const box = addElement("div", section, undefined, "media-row");
        const row = { id, kind: entry.kind, near: false, section, cells: ids.map((run) => ({ run, element: addElement("div", box, undefined, "media-cell"), own: { plots: [] }, shown: null })) };
        section.row = row;
        rows.set(id, row);
        visibility.observe(section);
      }
      showStep();
    }

    function clear(row) {
      visibility.unobserve(row.section);
      for (const cell of row.cells) for (const plot of cell.own.plots) plot.destroy();
    }

    const visibility = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        target.row.near = isIntersecting;
        if (isIntersecting) fillRow(target.row);
      }
    }, { rootMargin: "400px" });

    function showStep() {
      const index = stepIndex(), step = steps[index];
      slider.value = index;
      position.textContent = step === undefined ? "" : `${step.toLocaleString("en-US")}  (${index + 1} of ${steps.length})`;
      for (const row of rows.values()) if (row.near) fillRow(row);
    }

    async function fillRow(row) {
      const step = steps[stepIndex()], mine = row.turn = ++turn;
      const first = row.cells[0];
      await Promise.all(row.cells.map(async (cell) => {
        const list = entriesOf(cell.run, row.id), entry = atOrBefore(list, step);
        const mode = state.diff ?? "run";
        const past = mode === "step" && entry ? [cell.run, atOrBefore(list, entry.step - 1)]
          : mode === "run" && cell !== first ? [first.run, atOrBefore(entriesOf(first.run, row.id), step)] : null;
        const wanted = JSON.stringify([entry, past, listing.get(cell.run)?.version]);
        if (cell.shown === wanted) return;
        try {
          const series = OVER_STEPS.has(row.kind) && list.length > 1 ? await loadAll(cell.run, list) : null;
          const [now, before] = await Promise.all([entry && content(cell.run, entry), past?.[1] && content(past[0], past[1])]);
          if (row.turn !== mine || destroyed) return;
          cell.shown = wanted;
          replace(cell, row, entry, now, before, series);
        } catch (error) {
          if (destroyed || error.name === "AbortError" || row.turn !== mine) return;
          cell.element.textContent = error.message;
        }
      }));
    }

    // The new content is built aside and then takes the place of the old one.
    function replace(cell, row, entry, now, before, series) {
      const old = cell.own.plots;
      cell.own = { plots: [] };
      const element = addElement("div", null, undefined, "media-cell");
      if (!entry) addElement("p", element, "Not recorded so far.", "note");
      else {
        addElement("p", element, `step ${entry.step.toLocaleString("en-US")}`, "note at");
        mediacells.fill(element, row.kind, now, before, cell.own);
        if (series) mediacells.overSteps(element, row.kind, series, cell.own);
      }
      cell.element.replaceWith(element);
      cell.element = element;
      for (const plot of old) plot.destroy();
    }

    async function loadAll(id, list) {
      const every = Math.ceil(list.length / MAX_SHOWN);
      const kept = list.filter((_, i) => i % every === 0 || i === list.length - 1);
      return Promise.all(kept.map(async (entry) => ({ step: entry.step, content: await content(id, entry) })));
    }

    async function load() {
      try {
        if (!runs.length) runs = (await api.get("runs")).runs;
        await loadListing();
        if (!state.runs && !destroyed && runs.length > 1 && !(listing.get(runs[0].id)?.entries.length)) await findMedia();
        if (destroyed) return;
        ui.message(null);
        showRows();
      } catch (error) {
        if (destroyed || error.name === "AbortError") return;
        ui.message(error.message);
      }
    }

    async function loadListing() {
      const ids = shownRuns();
      const answers = await Promise.all(ids.map((id) => api.get(api.runPath(id, "media"))));
      listing = new Map(ids.map((id, i) => [id, answers[i]]));
    }

    // Without a choice in the address, the first run that has media is shown.
    async function findMedia() {
      for (const run of runs.slice(1, 40)) {
        const answer = await api.get(api.runPath(run.id, "media"));
        if (!answer.entries.length) continue;
        router.update({ runs: choices.join([run.id]) }, true);
        state = router.current.state;
        listing = new Map([[run.id, answer]]);
        return;
      }
    }

    function update(next) {
      const before = state;
      state = next.state;
      if (before.runs !== state.runs) load();
      else if (before.kind !== state.kind) showRows();
      else showStep();
    }

    const reload = api.throttle(load, 2000);
    load();
    return {
      title: "Media", update,
      async complete() { for (const row of rows.values()) await fillRow(row); },
      changed(changes) {
        if (!changes || changes.some((run) => shownRuns().includes(run.id))) reload();
      },
      destroy() {
        destroyed = true;
        clearInterval(playing);
        reload.cancel();
        visibility.disconnect();
        for (const row of rows.values()) clear(row);
      },
    };
  }

  return { mount };
})();
