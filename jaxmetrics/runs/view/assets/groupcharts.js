"use strict";
// Charts of several runs: a line for each run, and for each group the mean over the runs
// alive with its standard error, before its faint members.
const groupcharts = (() => {
  const MAX_POINTS = 500;

  // Colors stay with their entries while these are shown.
  function assign(entries, chosen, held) {
    const ids = new Set(entries.map((entry) => entry.id));
    for (const id of held.keys()) if (!ids.has(id)) held.delete(id);
    for (const { id } of entries) {
      if (held.has(id)) continue;
      const used = new Set(held.values());
      let color = 0;
      while (used.has(color)) color++;
      held.set(id, color);
    }
    return (id) => chosen.colors.get(id) ?? held.get(id) ?? 0;
  }

  function name(entry, key) {
    const alive = entry.members.filter((run) => run.state !== "diverged" && key in (run.last ?? {}));
    const end = Math.max(...alive.map((run) => run.step));
    const last = alive.filter((run) => run.step >= 0.98 * end).length;
    const lost = entry.members.length - alive.length;
    const n = last < alive.length ? `n=${alive.length}, ${last} at the end` : `n=${alive.length}`;
    return `${entry.label} (${n}${lost ? `, ${lost} diverged` : ""})`;
  }

  // Charts of keys, for `charts.board`. Lines carry `source`: what they are drawn from.
  function build(keys, entries, colorOf, isLogarithmic = () => false) {
    const projects = new Set(entries.flatMap((entry) => entry.members ?? [entry.run]).map((run) => run.project));
    const runName = (run) => `${projects.size > 1 ? run.id : run.name}${run.state === "diverged" ? " (diverged)" : ""}`;
    return keys.map((key) => {
      const lines = [];
      for (const entry of entries) {
        const color = colorOf(entry.id), has = (run) => key in (run.last ?? {});
        if (!entry.members) {
          if (has(entry.run)) lines.push({ name: runName(entry.run), color, show: true, diverged: entry.run.state === "diverged", source: { run: entry.run.id } });
          continue;
        }
        const members = entry.members.filter(has), alive = members.filter((run) => run.state !== "diverged");
        if (alive.length > 1) lines.push({ name: name(entry, key), color, show: true, source: { mean: alive.map((run) => run.id) } });
        for (const run of members) {
          lines.push({ name: runName(run), color, faint: alive.length > 1, show: true, diverged: run.state === "diverged", source: { run: run.id } });
        }
      }
      return { id: key, title: key, label: key, log: isLogarithmic(key), section: "", pooled: true, lines };
    }).filter((chart) => chart.lines.length);
  }

  const provider = {
    async load(chart, range) {
      const asked = { ...range, points: Math.min(range.points ?? MAX_POINTS, MAX_POINTS) };
      const ids = [...new Set(chart.lines.flatMap(({ source }) => source.mean ?? [source.run]))];
      const loaded = new Map(await Promise.all(ids.map(async (id) => {
        try {
          return [id, await api.series(id, chart.id, asked)];
        } catch (error) {
          if (error.status === 404 || error.status === 400) return [id, null]; // deleted meanwhile, or without this axis
          throw error;
        }
      })));
      return chart.lines.map(({ source }) => (source.mean ? meanOf(source.mean.map((id) => loaded.get(id)).filter(Boolean)) : loaded.get(source.run)));
    },
  };

  const meanOf = (lines) => (lines.length ? stats.meanLine(lines) : null);

  // Keys that are drawn at first: the headline, its sibling of another split, and others
  // that most runs have.
  function defaultKeys(runs, better) {
    const counts = new Map();
    for (const run of runs) for (const key of Object.keys(run.last ?? {})) counts.set(key, (counts.get(key) ?? 0) + 1);
    const headline = new Map();
    for (const run of runs) if (run.chosen_by) headline.set(run.chosen_by.key, (headline.get(run.chosen_by.key) ?? 0) + 1);
    const rank = (key) => (headline.get(key) ? 0 : /^val\/|^valid|^eval|^test/.test(key) ? 1 : key === "train/loss" ? 2 : /^train\//.test(key) ? 3 : 4);
    const kept = [...counts.keys()].filter((key) => key in better || rank(key) < 3 || key === "grad/norm");
    const wanted = kept.filter((key) => !/^(train|val|valid|validation|eval|test)_/.test(key));
    const common = (wanted.length ? wanted : kept.length ? kept : [...counts.keys()]).sort((a, b) => rank(a) - rank(b) || counts.get(b) - counts.get(a));
    return common.slice(0, 4);
  }

  return { assign, build, provider, defaultKeys };
})();
