"use strict";
// Runs of a sweep: parallel coordinates whose brushes filter, scatter of any column over
// any, and means by group.
const sweepView = (() => {
  const { addElement } = format;
  const MAX_AXES = 10, MAX_VALUES = 12, SEEDS = /(^|[._/])(seed|random_seed|rng|rng_seed)$/i;

  function mount(root, route) {
    let state = route.state, data = null, available = new Map(), destroyed = false, asked = 0;
    let parallel = null, scatter = null, brushed = null, points = [], parallelKey = "";

    root.classList.add("sweep");
    const tools = addElement("form", root, undefined, "toolbar");
    tools.addEventListener("submit", (event) => event.preventDefault());
    const project = ui.select(tools, "project", [], "", (value) => change({ project: value, target: null, x: null, y: null, color: null, by: null, brush: null }));
    const target = ui.select(tools, "goal", [], "", (value) => change({ target: value, brush: null }));
    const where = addElement("input", tools, undefined, "where");
    where.type = "search";
    where.placeholder = "filter: width == 512";
    where.setAttribute("aria-label", "Filter of runs");
    where.setAttribute("aria-describedby", "where-error");
    const settle = ui.debounce(() => change({ where: where.value.trim() || null, brush: null }), 500);
    where.addEventListener("input", settle);
    const whereError = addElement("p", root, "", "error");
    whereError.id = "where-error";
    whereError.hidden = true;
    whereError.setAttribute("role", "alert");
    const empty = addElement("div", root);
    const body = addElement("div", root, undefined, "sweep-body");
    body.hidden = true;
    addElement("p", empty, "Reading the runs…", "note");

    const coordinates = card(body, "Parallel coordinates", "wide");
    const hint = addElement("p", coordinates, "", "note");
    const brushState = addElement("span", hint);
    const clearBrush = ui.button(hint, "clear", () => change({ brush: null }), { className: "link" });
    const coordinatesBox = addElement("div", coordinates);
    const means = card(body, "Means by group");
    const meansTools = addElement("form", means, undefined, "toolbar");
    meansTools.addEventListener("submit", (event) => event.preventDefault());
    ui.menu(meansTools, "Group by", () => paramNames().map((name) => ({ id: name, text: name, checked: groupNames().includes(name) })), (name, on) => {
      const names = groupNames();
      change({ by: choices.join(on ? paramNames().filter((n) => n === name || names.includes(n)) : names.filter((n) => n !== name)) || "none" });
    });
    const meansNote = addElement("p", means, "", "note");
    const meansTable = table.create(means, { label: "Means by group", onSort: (sort) => change({ gsort: sort }), rowClass: (entry) => (entry.isBest ? "best" : "") });
    const cloud = card(body, "Scatter");
    const cloudTools = addElement("form", cloud, undefined, "toolbar");
    const pick = { x: null, y: null, color: null };
    for (const name of Object.keys(pick)) pick[name] = ui.select(cloudTools, name, [], "", (value) => change({ [name]: value }));
    const cloudBox = addElement("div", cloud);
    const list = card(body, "Runs", "wide");
    const listTable = table.create(list, { label: "Runs of the sweep", onSort: (sort) => change({ sort }) });

    function card(parent, title, size = "") {
      const box = addElement("article", parent, undefined, `card ${size}`);
      addElement("h4", box, title);
      return box;
    }

    function change(patch, replace) {
      router.update(patch, replace);
      update(router.current);
    }

    const projectOf = () => {
      const counts = new Map();
      for (const run of data.runs) counts.set(run.project, (counts.get(run.project) ?? 0) + 1);
      const sorted = [...counts].sort((a, b) => b[1] - a[1]);
      return { counts: sorted, chosen: counts.has(state.project) ? state.project : sorted[0]?.[0] };
    };
    const runsOf = () => { const { chosen } = projectOf(); return data.runs.filter((run) => run.project === chosen); };
    const paramNames = () => stats.differing(runsOf(), data.hparams);
    const groupNames = () => (state.by ? choices.split(state.by).filter((name) => name !== "none") : paramNames().filter((name) => !SEEDS.test(name)));

    function targets() {
      const runs = runsOf(), keys = data.keys.filter((key) => runs.some((run) => key in (run.last ?? {})));
      const ids = keys.flatMap((key) => [`recent:${key}`, `best:${key}`, `last:${key}`]).filter((id) => available.has(id));
      const headline = runs.map(columns.judge).find(Boolean), rank = (id) => (id === headline ? 0 : id.startsWith("best:") ? 2 : 3) - (/^\w+:(val|valid|validation|eval|dev)\//.test(id) ? 1 : 0);
      return ids.sort((a, b) => rank(a) - rank(b));
    }

    const label = (id) => available.get(id)?.title ?? id.replace(":", " ");
    const valueOf = (id, run) => { const column = available.get(id); return column ? column.value({ id: run.id, run }) : null; };
    const isHighBest = (id) => data.better[id.split(/:(.*)/s)[1]] === "max";

    function show() {
      if (!data || destroyed) return;
      const { counts, chosen } = projectOf();
      empty.textContent = "";
      body.hidden = !data.runs.length;
      if (!data.runs.length) {
        ui.emptyState(empty, state.where ? "No run matches the filter" : "No runs yet", state.where ? "Change or clear the filter above." : `There is no run directory in ${data.root}.`);
        return;
      }
      const runs = runsOf();
      available = columns.available({ ...data, runs });
      project.fill(counts.map(([name, n]) => [name, `${name} (${n})`]), chosen);
      project.parentElement.hidden = counts.length < 2;
      const goals = targets(), goal = goals.includes(state.target) ? state.target : goals[0];
      target.fill(goals.map((id) => [id, label(id)]), goal);
      showCoordinates(runs, goal);
      showSelection(runs, goal);
    }

    // What depends on the brushes.
    function showSelection(runs, goal) {
      const selected = brushed ? runs.filter((run) => brushed.has(run.id)) : runs;
      const n = Object.keys(brushes()).length;
      brushState.textContent = n ? `${selected.length} of ${runs.length} runs are within the brushes. ` : "Drag along an axis to select runs; a click on the axis removes the selection. The best runs by the goal have the strongest color; gray runs have no value of it.";
      clearBrush.hidden = !n;
      showMeans(selected, goal);
      showScatter(runs, goal);
      showList(selected, goal);
    }

    const brushes = () => { try { const stored = JSON.parse(state.brush ?? "{}"); return stored && typeof stored === "object" ? stored : {}; } catch { return {}; } };

    // An axis: a few values are named, others are on a linear or logarithmic scale.
    function dimension(id, runs) {
      const values = runs.map((run) => valueOf(id, run));
      const known = values.filter((v) => v !== null && v !== undefined && !Number.isNaN(v)), distinct = [...new Set(known)];
      const numbers = known.length > 0 && known.every((v) => typeof v === "number");
      if (!numbers || (id.startsWith("hp:") && distinct.length <= MAX_VALUES)) {
        const names = distinct.sort((a, b) => table.compare(a, b, 1)).map((v) => (typeof v === "number" ? format.valueText(v) : String(v)));
        return { id, type: "category", names, of: (v) => (v === null || v === undefined ? null : names.indexOf(typeof v === "number" ? format.valueText(v) : String(v))), shown: (v) => names[Math.round(v)] };
      }
      const min = Math.min(...known), max = Math.max(...known);
      return { id, type: min > 0 && max / min > 30 ? "log" : "value", min, max, of: (v) => (Number.isFinite(v) ? v : null), shown: stats.short };
    }

    function showCoordinates(runs, goal) {
      const ids = [...paramNames().slice(0, MAX_AXES - 1).map((name) => `hp:${name}`), goal].filter((id) => available.has(id));
      const dims = ids.map((id) => dimension(id, runs)), last = dims.length - 1;
      points = runs.map((run) => ({ run, values: dims.map((dim) => dim.of(valueOf(dim.id, run))) }));
      const key = JSON.stringify([ids, points.map(({ run, values }) => [run.id, values])]);
      const stored = brushes();
      select(dims, stored);
      if (parallel && key === parallelKey) { applyBrushes(dims, stored); return; }
      parallelKey = key;
      const scores = points.map(({ values }) => values[last]).filter(Number.isFinite).sort((a, b) => a - b);
      const options = (colors) => {
        // Colors go from the best value to the third quartile: one that diverged must not
        // make all others look alike.
        const high = isHighBest(goal), q = (share) => scores[Math.round(share * (scores.length - 1))] ?? 0;
        const edges = high ? [q(0.25), q(1)] : [q(0), q(0.75)];
        if (!(edges[0] < edges[1])) edges[1] = edges[0] + 1;
        const ramp = [...colors.sequential.slice(1)];
        return {
          parallel: { left: 56, right: 88, top: 36, bottom: 26, parallelAxisDefault: { nameGap: 14, nameTextStyle: { color: colors.text, fontSize: 12 } } },
          parallelAxis: dims.map((dim, i) => ({
            ...plots.axis(colors, {}), dim: i, name: format.truncate(label(dim.id), 26), type: dim.type, data: dim.names, scale: true, realtime: true,
            nameTextStyle: { color: colors.text, fontSize: 12 }, inverse: i === last && !high, nameLocation: i === last && !high ? "start" : "end",
            axisLabel: { color: colors.text, fontSize: 11, backgroundColor: colors.panel, padding: [1, 3], borderRadius: 3, formatter: dim.type === "category" ? (text) => format.truncate(String(text), 14) : (v) => stats.short(v) },
            areaSelectStyle: { width: 18, borderWidth: 1, borderColor: colors.accent, color: colors.accent, opacity: 0.25 },
          })),
          visualMap: { show: false, dimension: last, min: edges[0], max: edges[1], inRange: { color: high ? ramp : [...ramp].reverse() }, outOfRange: { color: [colors.muted] } },
          tooltip: { trigger: "item", formatter: ({ dataIndex }) => { const { run, values } = points[dataIndex]; return [run.id, ...dims.map((dim, i) => `${label(dim.id)}  ${values[i] === null ? "–" : dim.shown(values[i])}`)].join("\n"); } },
          series: [{
            type: "parallel", smooth: false, inactiveOpacity: 0.06, activeOpacity: 1, lineStyle: { width: 1.6, opacity: 0.85 }, progressive: 0,
            data: points.map(({ run, values }) => ({ value: values.map((v) => (v === null ? "-" : v)), name: run.id })),
          }],
        };
      };
      if (parallel) { parallel.show(options); applyBrushes(dims, stored); } else {
        parallel = plots.create(coordinatesBox, {
          height: 320, label: "Parallel coordinates of the runs", options,
          bind: (chart) => {
            applyBrushes(dims, brushes());
            chart.on("axisareaselected", onBrush);
            chart.on("click", ({ dataIndex }) => { const point = points[dataIndex]; if (point) router.go("run", point.run.id.split("/")); });
          },
        });
      }
      parallel.dims = dims;
    }

    const onBrush = api.throttle(() => {
      if (destroyed || !parallel?.chart || applying) return;
      const stored = {};
      parallel.dims.forEach((dim, i) => {
        const { activeIntervals: intervals } = parallel.chart.getModel().getComponent("parallelAxis", i);
        const whole = intervals.filter(([from, to]) => dim.type === "category" || to > from);
        if (whole.length) stored[dim.id] = whole.map((pair) => pair.map((v) => Number(v.toPrecision(8))));
      });
      const text = Object.keys(stored).length ? JSON.stringify(stored) : null;
      if (text === (state.brush ?? null)) return;
      router.update({ brush: text }, true);
      state = router.current.state;
      select(parallel.dims, stored);
      showSelection(runsOf(), target.value);
    }, 60);

    let applying = false;
    function applyBrushes(dims, stored) {
      if (!parallel?.chart) return;
      applying = true;
      dims.forEach((dim, i) => {
        const now = parallel.chart.getModel().getComponent("parallelAxis", i)?.activeIntervals ?? [];
        const wanted = stored[dim.id] ?? [];
        if (JSON.stringify(now.map((pair) => pair.map((v) => Number(v.toPrecision(8))))) === JSON.stringify(wanted)) return;
        parallel.chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId: parallel.chart.getModel().getComponent("parallelAxis", i).id, intervals: wanted });
      });
      applying = false;
    }

    function select(dims, stored) {
      const active = dims.map((dim) => stored[dim.id]).map((list) => (Array.isArray(list) && list.length ? list : null));
      if (!active.some(Boolean)) { brushed = null; return; }
      const inside = (values) => active.every((list, i) => !list || (values[i] !== null && list.some(([from, to]) => values[i] >= from && values[i] <= to)));
      brushed = new Set(points.filter(({ values }) => inside(values)).map(({ run }) => run.id));
    }

    function showMeans(runs, goal) {
      const names = groupNames(), groups = new Map();
      for (const run of runs) {
        const key = JSON.stringify(names.map((name) => run.hparams[name] ?? null));
        if (!groups.has(key)) groups.set(key, { id: key, members: [], label: key });
        groups.get(key).members.push(run);
      }
      const goalColumn = available.get(goal);
      const entries = [...groups.values()].map((group) => {
        const alive = group.members.filter((run) => run.state !== "diverged");
        const { mean, error, n } = stats.summarize(alive.map((run) => valueOf(goal, run) ?? NaN));
        return { ...group, mean, error, n, lost: group.members.length - alive.length };
      });
      const sign = isHighBest(goal) ? -1 : 1;
      const best = entries.filter((entry) => entry.mean !== null).sort((a, b) => sign * (a.mean - b.mean))[0];
      if (best) best.isBest = true;
      const shown = [
        ...names.map((name) => ({ ...available.get(`hp:${name}`), id: `hp:${name}`, width: 6.5 })),
        {
          id: "mean", title: `${label(goal)}`, width: Math.min(Math.max(11, 0.6 * label(goal).length + 2), 16), number: true, bestHigh: sign < 0, value: (entry) => entry.mean,
          cell: (entry, td) => { td.textContent = stats.withError(entry.mean, entry.error); },
        },
        { id: "n", title: "n", width: 3, number: true, value: (entry) => entry.n, cell: (entry, td) => { td.textContent = entry.n; } },
        { id: "lost", title: "diverged", width: 5.2, number: true, value: (entry) => entry.lost, cell: (entry, td) => { td.textContent = entry.lost || "–"; if (entry.lost) td.classList.add("bad"); } },
        { id: "steps", title: "steps", width: 5.5, number: true, value: (entry) => columns.numeric(entry, (run) => run.step), cell: (entry, td) => { const v = columns.numeric(entry, (run) => run.step); td.textContent = v === null ? "–" : stats.short(Math.round(v)); } },
      ].filter((column) => column.cell);
      const sort = state.gsort ?? (sign < 0 ? "-mean" : "mean");
      meansTable.show({ columns: shown, rows: table.sorted(entries, shown, sort), sort, pinned: -1 });
      const unequal = new Set(runs.filter((run) => run.state !== "diverged").map((run) => run.step)).size > 1;
      meansNote.textContent = goalColumn ? `Mean ± standard error over n runs; runs that diverged are not in it; the scatter shows them as diamonds.${unequal ? " The runs have different numbers of steps." : ""}` : "";
    }

    function showScatter(runs, goal) {
      const ids = [...paramNames().map((name) => `hp:${name}`), ...targets(), "step", "elapsed", "created"].filter((id) => available.has(id));
      const chosen = {
        x: ids.includes(state.x) ? state.x : ids[0], y: ids.includes(state.y) ? state.y : goal,
        color: ids.includes(state.color) ? state.color : ids.find((id, i) => i > 0 && id.startsWith("hp:") && !SEEDS.test(id.slice(3))) ?? ids[0],
      };
      for (const name of Object.keys(pick)) pick[name].fill(ids.map((id) => [id, label(id)]), chosen[name]);
      const dims = Object.fromEntries(Object.entries(chosen).map(([name, id]) => [name, dimension(id, runs)]));
      const dots = runs.map((run) => ({ run, x: dims.x.of(valueOf(chosen.x, run)), y: dims.y.of(valueOf(chosen.y, run)), color: dims.color.of(valueOf(chosen.color, run)) }))
        .filter((dot) => dot.x !== null && dot.y !== null);
      const options = (colors) => {
        const palette = chartstate.palette();
        const axisOf = (dim, extra) => plots.axis(colors, { type: dim.type, data: dim.names, scale: true, name: label(dim.id), nameLocation: "middle", splitLine: { show: true, lineStyle: { color: colors.grid, opacity: 0.6 } }, ...(dim.type === "category" ? {} : { axisLabel: { color: colors.muted, fontSize: 11, formatter: stats.short } }), ...extra });
        const isNamed = dims.color.type === "category" && dims.color.names.length <= palette.length;
        const colorValues = dots.map((dot) => dot.color).filter((v) => v !== null);
        const outline = (run) => (run.state === "diverged" ? { borderColor: colors.text, borderWidth: 1.5, borderType: "dotted" } : {});
        const series = (isNamed ? dims.color.names : [label(chosen.color)]).map((name, i) => ({
          type: "scatter", name, symbolSize: 11,
          data: dots.filter((dot) => !isNamed || dot.color === i).map((dot) => ({ value: [dot.x, dot.y, dot.color ?? "-"], dot, symbol: dot.run.state === "diverged" ? "diamond" : "circle", itemStyle: { opacity: brushed && !brushed.has(dot.run.id) ? 0.12 : 0.85, ...(isNamed ? { color: palette[i] } : {}), ...outline(dot.run) } })),
        }));
        return {
          color: palette,
          grid: { left: 66, right: 18, top: isNamed ? 34 : 14, bottom: isNamed ? 44 : 84 },
          xAxis: axisOf(dims.x, { nameGap: 26 }), yAxis: axisOf(dims.y, { nameGap: 48 }),
          legend: isNamed ? { top: 0, textStyle: { color: colors.muted }, formatter: (name) => `${label(chosen.color)} ${name}`, type: "scroll" } : undefined,
          visualMap: isNamed ? undefined : { dimension: 2, min: Math.min(...colorValues), max: Math.max(...colorValues), orient: "horizontal", left: "center", bottom: 0, itemHeight: 120, itemWidth: 10, inRange: { color: colors.sequential.slice(1) }, textStyle: { color: colors.muted }, text: [stats.short(Math.max(...colorValues)), `${label(chosen.color)} ${stats.short(Math.min(...colorValues))}`] },
          tooltip: { formatter: ({ data: { dot } }) => [dot.run.id + (dot.run.state === "diverged" ? " (diverged)" : ""), ...Object.entries(chosen).map(([, id]) => `${label(id)}  ${stats.short(valueOf(id, dot.run))}`)].join("\n") },
          series,
        };
      };
      if (scatter) scatter.show(options);
      else {
        scatter = plots.create(cloudBox, {
          height: 380, label: "Scatter of the runs", options,
          bind: (chart) => chart.on("click", ({ data: picked }) => picked?.dot && router.go("run", picked.dot.run.id.split("/"))),
        });
      }
    }

    function showList(runs, goal) {
      const name = {
        id: "name", title: "run", width: 15, value: (entry) => entry.run.name,
        cell: (entry, td) => { addElement("a", td, entry.run.name, "name").href = router.href("run", entry.run.id.split("/")); },
      };
      const ids = ["state", ...paramNames().map((param) => `hp:${param}`), goal, goal?.replace(/^(best|recent):/, "last:"), "step", "elapsed"];
      const shown = [name, ...[...new Set(ids)].filter((id) => available.has(id)).map((id) => available.get(id))];
      const sort = state.sort ?? (isHighBest(goal) ? `-${goal}` : goal);
      listTable.show({ columns: shown, rows: table.sorted(runs.map((run) => ({ id: run.id, run })), shown, sort), sort, pinned: 0 });
    }

    async function load() {
      const turn = ++asked;
      try {
        const answer = await api.get("runs", { where: state.where });
        if (turn !== asked || destroyed) return;
        data = answer;
        app.setRoot(answer.root);
        ui.message(null);
        whereError.hidden = true;
        show();
      } catch (error) {
        if (turn !== asked || destroyed || error.name === "AbortError") return;
        const isFilter = error.status === 400 || error.status === 422;
        whereError.hidden = !isFilter;
        whereError.textContent = isFilter ? error.message : "";
        if (!isFilter) ui.message(error.message);
      }
    }

    function update(next) {
      const before = state;
      state = next.state;
      if (document.activeElement !== where) where.value = state.where ?? "";
      if (data && (before.where ?? "") === (state.where ?? "")) show(); else load();
    }

    const reload = api.throttle(load, 2000);
    where.value = state.where ?? "";
    load();
    return {
      title: "Sweep", update, changed: reload,
      destroy() {
        destroyed = true;
        settle.cancel();
        reload.cancel();
        onBrush.cancel();
        parallel?.destroy();
        scatter?.destroy();
        meansTable.destroy();
        listTable.destroy();
      },
    };
  }

  return { mount };
})();
