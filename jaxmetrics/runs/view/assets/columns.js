"use strict";
// Columns of runs, and rows of the table: runs, or groups of runs that fold together.
const columns = (() => {
  const { addElement } = format;

  const lastPart = (name) => name.split(/[./]/).pop();

  // The value of a run, or the mean over the runs of a group that did not diverge.
  function numeric(entry, of) {
    return entry.members ? statistics(entry, of).mean : of(entry.run);
  }

  function statistics(entry, of) {
    return stats.summarize(entry.members.filter((run) => run.state !== "diverged").map((run) => of(run) ?? NaN));
  }

  // The value that all runs of an entry have; undefined if they differ.
  function common(entry, of) {
    const values = entry.members ? entry.members.map(of) : [of(entry.run)];
    return values.every((v) => JSON.stringify(v) === JSON.stringify(values[0])) ? values[0] : undefined;
  }

  function textColumn(id, title, width, of, fill) {
    return {
      id, title, width,
      value: (entry) => common(entry, of) ?? null,
      cell(entry, td) {
        const value = common(entry, of);
        if (value === undefined) addElement("span", td, "several", "muted");
        else if (fill) fill(td, value, entry);
        else { td.textContent = stats.short(value); td.title = td.textContent; }
      },
    };
  }

  function numberColumn(id, title, width, of, show = stats.short, extra = {}) {
    return {
      id, title, width, number: true, bestHigh: true, value: (entry) => numeric(entry, of),
      cell(entry, td) {
        const value = numeric(entry, of);
        td.textContent = value === null || value === undefined ? "–" : show(value);
      },
      ...extra,
    };
  }

  const VALUES = {
    best: (key) => (run) => run.best?.[key]?.value ?? null,
    last: (key) => (run) => run.last?.[key] ?? null,
    recent: (key) => (run) => run.recent?.[key] ?? null,
  };
  const HINTS = {
    best: (key) => `best value of ${key}`, last: (key) => `last value of ${key}`,
    recent: (key) => `median of ${key} over the last 5 % of the steps; the best value is that of one batch`,
  };

  // Last, best or recent value of a metric: mean ± standard error in a group.
  function metricColumn(kind, key, better) {
    const of = VALUES[kind](key);
    return {
      id: `${kind}:${key}`, title: `${kind} ${key}`, hint: HINTS[kind](key),
      width: Math.min(Math.max(8.6, 0.62 * (key.length + 6)), 12), number: true, bestHigh: better[key] === "max",
      value: (entry) => numeric(entry, of), of, last: (entry) => entry.run?.state === "diverged",
      cell(entry, td) {
        if (entry.members) {
          const { mean, error, n } = statistics(entry, of);
          td.textContent = stats.withError(mean, error);
          td.title = `mean ± standard error over n = ${n}`;
          return;
        }
        const value = of(entry.run), isLost = kind === "last" && value === null && key in (entry.run.last ?? {});
        td.textContent = isLost ? "NaN" : stats.short(value);
        if (isLost) td.classList.add("bad");
        if (kind === "best" && entry.run.best?.[key]) td.title = `at step ${format.valueText(entry.run.best[key].step)}`;
      },
    };
  }

  function paramColumn(name, title) {
    const of = (run) => run.hparams?.[name] ?? null;
    const column = textColumn(`hp:${name}`, title, Math.min(Math.max(5, 0.55 * title.length + 2), 10), of);
    return { ...column, hint: name, number: false, className: "param", of };
  }

  // All columns that a person can choose, by id, in their order.
  function available({ runs, hparams, keys, better }) {
    const short = new Map(hparams.map((name) => [name, lastPart(name)]));
    const counts = new Map();
    for (const text of short.values()) counts.set(text, (counts.get(text) ?? 0) + 1);
    const fixed = [
      textColumn("state", "state", 6.2, (run) => run.state, (td, state, entry) => { ui.stateChip(td, state).title = entry.run?.error ?? ""; }),
      {
        ...numberColumn("progress", "progress", 6.6, (run) => run.progress), number: false,
        cell(entry, td) {
          const share = numeric(entry, (run) => run.progress);
          if (share === null || share === undefined) { td.textContent = "–"; return; }
          ui.progressBar(td, share);
          td.append(stats.percent(share));
        },
      },
      numberColumn("step", "step", 5.4, (run) => run.step, (v) => stats.short(Math.round(v))),
      numberColumn("left", "time left", 6, stats.secondsLeft, stats.duration, { bestHigh: false }),
      numberColumn("elapsed", "training time", 7.2, (run) => run.elapsed, stats.duration),
      numberColumn("updated", "updated", 6.4, (run) => run.updated, stats.ago),
      numberColumn("created", "created", 6.4, (run) => run.created, stats.ago),
      numberColumn("alarms", "alarms", 4.6, (run) => run.alarms),
      numberColumn("attempts", "attempts", 5.2, (run) => run.attempts),
      textColumn("error", "ended by", 12, (run) => run.error),
      textColumn("project", "project", 7, (run) => run.project),
    ];
    const params = hparams.map((name) => paramColumn(name, counts.get(short.get(name)) > 1 ? name : short.get(name)));
    const metrics = keys.flatMap((key) => ["recent", "best", "last"].map((kind) => metricColumn(kind, key, better)));
    const has = { best: new Set(runs.flatMap((run) => Object.keys(run.best ?? {}))), recent: new Set(runs.flatMap((run) => Object.keys(run.recent ?? {}))) };
    const known = metrics.filter(({ id }) => { const [kind, key] = id.split(/:(.*)/s); return has[kind]?.has(key) ?? true; });
    return new Map([...fixed, ...params, ...known].map((column) => [column.id, column]));
  }

  // Id of the column of the value by which a run is judged; null without one.
  const judge = ({ chosen_by: chosen }) => (chosen ? `${chosen.by}:${chosen.key}` : null);

  // Ids of the columns shown before a person chooses any.
  function defaults({ runs, hparams, better }, all) {
    const counts = new Map();
    for (const id of runs.map(judge).filter(Boolean)) counts.set(id, (counts.get(id) ?? 0) + 1);
    const headline = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 2).map(([id]) => id);
    const params = stats.differing(runs, hparams).slice(0, 4).map((name) => `hp:${name}`);
    const running = runs.some((run) => run.state === "running");
    const ids = ["state", running ? "progress" : null, ...headline.flatMap((id) => [id, id.replace(/^\w+/, "last")]), ...params, "step", running ? "left" : null, "elapsed", "updated"];
    return ids.filter((id) => id && all.has(id));
  }

  // "lr=0.001 width=512": the parameters that tell the groups of a table apart.
  function groupLabel(members, names) {
    const parts = names.filter((name) => stats.differing(members, [name]).length === 0)
      .map((name) => `${lastPart(name)}=${stats.short(members[0].hparams[name] ?? null)}`);
    if (parts.length) return parts.slice(0, 4).join(" ");
    let prefix = members[0].name;
    for (const { name } of members) while (!name.startsWith(prefix)) prefix = prefix.slice(0, -1);
    return prefix.replace(/[-_. ]+(s|seed)?$/, "") || members[0].project;
  }

  // Entries of the table. `by` is "seed", "none" or the name of a parameter; a group of
  // one run is that run.
  function entries(runs, by, hparams) {
    if (by === "none") return runs.map((run) => ({ id: run.id, run }));
    const groups = new Map();
    for (const run of runs) {
      const value = by === "seed" ? run.group : JSON.stringify(run.hparams?.[by] ?? null);
      const key = JSON.stringify([run.project, value]);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(run);
    }
    const names = new Map(); // that tell the groups of a project apart
    for (const { project } of runs) if (!names.has(project)) names.set(project, by === "seed" ? stats.differing(runs.filter((run) => run.project === project), hparams) : [by]);
    const label = (members) => `${names.size > 1 ? `${members[0].project}/` : ""}${groupLabel(members, names.get(members[0].project))}`;
    return [...groups].map(([key, members]) => (members.length === 1 ? { id: members[0].id, run: members[0] }
      : { id: `group ${key}`, members, label: label(members) }));
  }

  return { available, defaults, judge, entries, numeric, statistics, common, lastPart };
})();
