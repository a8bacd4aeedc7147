"use strict";
// The first page: the table of all runs beside charts of those that are shown.
const runsView = (() => {
  const { addElement } = format;
  const MAX_CHARTS = 6;

  function mount(root, route) {
    let state = route.state, data = null, chosen = choices.read(state), kept = new Map();
    let order = [], available = new Map(), board = null, asked = 0, destroyed = false;
    const held = new Map(), entryCache = new Map();

    root.classList.add("runs");
    const left = addElement("section", root, undefined, "list"), right = addElement("section", root, undefined, "side");
    left.setAttribute("aria-label", "Runs");
    right.setAttribute("aria-label", "Charts of the runs shown");
    const projects = addElement("div", left, undefined, "projects");
    const tools = addElement("form", left, undefined, "toolbar");
    tools.addEventListener("submit", (event) => { event.preventDefault(); setWhere(); });
    const where = addElement("input", tools, undefined, "where");
    where.type = "search";
    where.placeholder = "filter: lr > 1e-3 and state == 'closed'";
    where.setAttribute("aria-label", "Filter of runs");
    where.setAttribute("aria-describedby", "where-error");
    where.spellcheck = false;
    where.autocomplete = "off";
    const setWhere = () => { settle.cancel(); change({ where: where.value.trim() || null }); };
    const settle = ui.debounce(setWhere, 500);
    where.addEventListener("input", settle);
    const by = ui.select(tools, "group", [["seed", "seeds folded"]], "seed", (value) => change({ by: value === "seed" ? null : value }));
    ui.menu(tools, "Columns", () => [...available.values()].map((c) => ({ id: c.id, text: c.title, checked: shownColumns().includes(c.id) })), (id, on) => {
      const ids = shownColumns();
      change({ cols: choices.join(on ? [...ids, id] : ids.filter((other) => other !== id)) || "none" });
    });
    ui.menu(tools, "Charts", () => data?.keys.map((key) => ({ id: key, text: key, checked: shownKeys().includes(key) })) ?? [], (key, on) => {
      const keys = shownKeys();
      change({ keys: choices.join(on ? [...keys, key] : keys.filter((other) => other !== key)) || "none" });
    }, { limit: MAX_CHARTS, note: `Up to ${MAX_CHARTS} charts.` });
    const whereError = addElement("p", left, "", "error");
    whereError.id = "where-error";
    whereError.setAttribute("role", "alert");
    whereError.hidden = true;
    const count = addElement("div", left, undefined, "count");
    const summary = addElement("span", count, "Reading the runs…");
    ui.button(count, "show all", () => setAllShown(true), { className: "link" });
    ui.button(count, "hide all", () => setAllShown(false), { className: "link" });
    ui.button(count, "only starred", () => setAllShown((id) => chosen.star.has(id)), { className: "link" });
    const grid = table.create(left, { label: "Table of runs", onSort: (sort) => change({ sort }), rowClass });
    const problems = addElement("details", left, undefined, "problems");
    problems.hidden = true;
    const empty = addElement("div", root, undefined, "whole");
    empty.hidden = true;

    function change(patch, replace) {
      router.update(patch, replace);
      update(router.current);
    }

    const shownColumns = () => (state.cols ? choices.split(state.cols).filter((id) => available.has(id)) : columns.defaults({ ...data, runs: projectRuns() }, available));
    const shownKeys = () => (state.keys ? choices.split(state.keys).filter((key) => data.keys.includes(key)).slice(0, MAX_CHARTS) : groupcharts.defaultKeys(projectRuns(), data.better));
    const projectRuns = () => (state.project ? data.runs.filter((run) => run.project === state.project) : data.runs);
    const membersOf = (entry) => entry.members ?? [entry.run];

    function rowClass(entry) {
      return [entry.members && "group", entry.depth && "member", !entry.shown && "off"].filter(Boolean).join(" ");
    }

    function setShown(ids, shown) {
      for (const id of ids) chosen.show.set(id, shown);
      choices.write(chosen);
      update(router.current);
    }

    function setAllShown(shown) {
      for (const run of projectRuns()) chosen.show.set(run.id, typeof shown === "function" ? shown(run.id) : shown);
      choices.write(chosen);
      update(router.current);
    }

    function fillMarks(entry, td) {
      const ids = membersOf(entry).map((run) => run.id), name = entry.label ?? entry.run.name;
      const eye = ui.button(td, "", () => setShown(ids, !entry.shown), { className: "eye", title: entry.shown ? "hide in the charts" : "show in the charts", label: `Show ${name} in the charts` });
      eye.setAttribute("aria-pressed", String(entry.shown));
      eye.dataset.focus = "eye";
      if (entry.shown) eye.style.backgroundColor = entry.color;
      eye.addEventListener("contextmenu", (event) => { event.preventDefault(); nextColor(entry); });
      eye.addEventListener("keydown", (event) => { if (event.key === "c") nextColor(entry); });
      const star = ui.button(td, entry.starred ? "★" : "☆", () => {
        for (const id of ids) chosen.star[entry.starred ? "delete" : "add"](id);
        choices.write(chosen);
        update(router.current);
      }, { className: "star", label: `Star ${name}` });
      star.setAttribute("aria-pressed", String(entry.starred));
      star.dataset.focus = "star";
      const paint = ui.button(td, "◐", () => nextColor(entry), { className: "paint", title: "next color", label: `Next color for ${name}` });
      paint.dataset.focus = "paint";
    }

    function nextColor(entry) {
      chosen.colors.set(entry.id, (entry.colorIndex + 1) % chartstate.palette().length);
      choices.write(chosen);
      update(router.current);
    }

    function fillName(entry, td) {
      if (entry.members) {
        const fold = ui.button(td, entry.open ? "▾" : "▸", () => {
          const open = new Set(choices.split(state.open));
          open[entry.open ? "delete" : "add"](entry.id);
          change({ open: choices.join(open) || null });
        }, { className: "fold", label: `Members of ${entry.label}` });
        fold.setAttribute("aria-expanded", String(entry.open));
        fold.dataset.focus = "fold";
        addElement("span", td, entry.label, "name");
        const lost = entry.members.filter((run) => run.state === "diverged").length;
        addElement("span", td, `×${entry.members.length}`, "muted");
        if (lost) addElement("span", td, `✕${lost}`, "bad lost").title = `${lost} diverged`;
        td.title = entry.members.map((run) => run.name).join("\n");
        return;
      }
      const link = addElement("a", td, hasProjects() ? entry.run.id : entry.run.name, "name");
      link.href = router.href("run", entry.run.id.split("/"));
      link.dataset.focus = "name";
      td.title = entry.run.problem ? `${entry.run.id}\n${entry.run.problem}` : entry.run.id;
      if (entry.run.problem) addElement("span", td, "damaged", "bad small");
    }

    const hasProjects = () => new Set(projectRuns().map((run) => run.project)).size > 1;

    function tableColumns() {
      const marks = { id: "marks", title: "shown, starred", width: 4.6, className: "marks", cell: fillMarks };
      const name = { id: "name", title: "run", width: hasProjects() ? 19 : 15.5, value: (entry) => entry.label ?? entry.run.id, cell: fillName };
      return [marks, name, ...shownColumns().map((id) => available.get(id))];
    }

    // Entries with what the table shows of them; equal ones keep their identity.
    function decorate(entry, extra) {
      const next = { ...entry, ...extra }, old = entryCache.get(next.id);
      const same = old && Object.keys(next).every((key) => (key === "members" ? old.members?.length === next.members?.length && (next.members ?? []).every((m, i) => m === old.members[i]) : old[key] === next[key]));
      if (same) return old;
      entryCache.set(next.id, next);
      return next;
    }

    function show() {
      if (!data || destroyed) return;
      available = columns.available({ ...data, runs: projectRuns() });
      chosen = choices.read(state);
      const grouping = state.by ?? "seed", runs = projectRuns();
      const names = stats.differing(runs, data.hparams);
      by.fill([["seed", "seeds folded"], ["none", "none"], ...names.map((name) => [name, columns.lastPart(name)])], grouping);
      const entries = columns.entries(runs, grouping, data.hparams);
      const all = tableColumns(), first = all.find((c) => /^(best|recent):/.test(c.id));
      const sort = state.sort ?? (first ? `${first.bestHigh ? "-" : ""}${first.id}` : "-updated");
      const sortable = available.get(sort.replace(/^-/, ""));
      const listed = table.sorted(entries, sortable ? [...all, sortable] : all, sort);
      listed.sort((a, b) => isStarred(b) - isStarred(a));
      order = listed.flatMap(membersOf);
      const shown = choices.shownIds(order, chosen);
      const visible = listed.map((entry) => (entry.members ? { ...entry, members: entry.members.filter((run) => shown.has(run.id)) } : entry))
        .filter((entry) => (entry.members ? entry.members.length : shown.has(entry.run.id)))
        .map((entry) => (entry.members?.length === 1 ? { ...entry, run: entry.members[0], members: undefined } : entry));
      const colorOf = groupcharts.assign(visible, chosen, held), palette = chartstate.palette();
      const open = new Set(choices.split(state.open)), rows = [];
      for (const entry of listed) {
        const isShown = membersOf(entry).some((run) => shown.has(run.id)), colorIndex = colorOf(entry.id);
        const paint = { colorIndex, color: palette[colorIndex % palette.length] };
        const isOpen = open.has(entry.id);
        rows.push(decorate(entry, { shown: isShown, starred: isStarred(entry), open: isOpen, ...paint }));
        if (!entry.members || !isOpen) continue;
        const inner = table.sorted(entry.members.map((run) => ({ id: run.id, run })), sortable ? [...all, sortable] : all, sort);
        for (const member of inner) rows.push(decorate(member, { shown: shown.has(member.id), starred: chosen.star.has(member.id), depth: 1, ...paint }));
      }
      grid.show({ columns: all, rows, sort, pinned: 1 });
      const states = new Map();
      for (const run of runs) states.set(run.state ?? "unknown", (states.get(run.state ?? "unknown") ?? 0) + 1);
      summary.textContent = `${runs.length.toLocaleString("en-US")} runs (${[...states].map(([name, n]) => `${n} ${name}`).join(", ")}), ${shown.size} shown in charts`;
      showCharts(visible, colorOf);
    }

    const isStarred = (entry) => membersOf(entry).every((run) => chosen.star.has(run.id));

    function showCharts(visible, colorOf) {
      const content = groupcharts.build(shownKeys(), visible, colorOf);
      right.classList.toggle("nothing", !content.length);
      if (!board) {
        const form = addElement("form", right, undefined, "controls");
        board = charts.board(addElement("div", right), {
          axes: chartstate.AXES, provider: groupcharts.provider, settings: chartstate.read(state), marks: [],
          onChange: (settings) => { router.update(chartstate.patch(settings), true); state = router.current.state; },
        });
        controls.fill(form, board);
      }
      board.show(content);
    }

    function showProjects() {
      projects.textContent = "";
      const counts = new Map();
      for (const run of data.runs) counts.set(run.project, (counts.get(run.project) ?? 0) + 1);
      projects.hidden = counts.size < 2;
      for (const [name, n] of [[null, data.runs.length], ...[...counts].sort()]) {
        const chip = ui.button(projects, name ?? "all", () => change({ project: name, cols: null, keys: null, sort: null }), { className: "chip" });
        addElement("span", chip, n.toLocaleString("en-US"), "muted");
        chip.setAttribute("aria-pressed", String((state.project ?? null) === name));
      }
    }

    async function load() {
      const turn = ++asked;
      try {
        const answer = await api.get("runs", { where: state.where });
        if (turn !== asked || destroyed) return;
        accept(answer);
      } catch (error) {
        if (turn !== asked || destroyed || error.name === "AbortError") return;
        const isFilter = error.status === 400 || error.status === 422;
        whereError.hidden = !isFilter;
        whereError.textContent = isFilter ? error.message : "";
        where.setAttribute("aria-invalid", String(isFilter));
        if (isFilter) { if (!data) { const rest = await api.get("runs").catch(() => null); if (rest && turn === asked) accept(rest, true); } } else ui.message(error.message);
      }
    }

    function accept(answer, keepError = false) {
      const next = new Map();
      answer.runs = answer.runs.map((run) => {
        const text = JSON.stringify(run), old = kept.get(run.id);
        const same = old?.text === text ? old : { text, run };
        next.set(run.id, same);
        return same.run;
      });
      kept = next;
      data = answer;
      app.setRoot(answer.root);
      ui.message(null);
      if (!keepError) { whereError.hidden = true; where.setAttribute("aria-invalid", "false"); }
      showProblems(answer.problems ?? []);
      const isEmpty = !answer.runs.length && !state.where;
      empty.hidden = !isEmpty;
      left.hidden = right.hidden = isEmpty;
      if (isEmpty) {
        empty.textContent = "";
        const box = ui.emptyState(empty, "No runs yet", `There is no run directory in ${answer.root}. Runs appear here as soon as one begins to log:`);
        addElement("pre", box, 'logger = jm.TrainingLogger("project", "run", root=…)\nlogger.log_step(step, loss=loss)');
        return;
      }
      showProjects();
      show();
    }

    function showProblems(list) {
      problems.hidden = !list.length;
      problems.textContent = "";
      if (!list.length) return;
      addElement("summary", problems, `${list.length} ${list.length === 1 ? "folder" : "folders"} could not be read`);
      for (const { path, text } of list.slice(0, 100)) addElement("p", problems, `${path}: ${text}`, "note");
    }

    function update(next) {
      const before = state;
      state = next.state;
      if (document.activeElement !== where) where.value = state.where ?? "";
      if (data && (before.where ?? "") === (state.where ?? "")) {
        if (before.project !== state.project) showProjects();
        show();
        if (before.charts !== state.charts) board?.set(chartstate.read(state));
      } else load();
    }

    const reload = api.throttle(async () => { await load(); await api.settled(); if (!destroyed) board?.refresh(); }, 1000);
    where.value = state.where ?? "";
    load();
    return {
      title: "Runs", update, changed: reload,
      async complete() {
        const { axis } = chartstate.read(state);
        for (const { chart } of board?.cards.values() ?? []) await groupcharts.provider.load(chart, { axis, min: null, max: null });
      },
      destroy() { destroyed = true; reload.cancel(); settle.cancel(); grid.destroy(); board?.destroy(); },
    };
  }

  return { mount };
})();
