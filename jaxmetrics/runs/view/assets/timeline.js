"use strict";
// Where the time of a run went: shares by category, and attempts as bands.
const timeline = (() => {
  const { addElement } = format;
  const ORDER = ["step", "evaluation", "checkpoint", "compile", "init", "restore", "data_wait", "logging", "profile", "rewind", "idle", "other"];
  const NAMES = { step: "training steps", rewind: "repeated after a restart", idle: "idle between attempts", init: "startup", data_wait: "waiting for data" };
  const COLORS = { step: 2, evaluation: 0, checkpoint: 4, compile: 5, init: 6, restore: 3, data_wait: 1, rewind: 7 };

  const name = (category) => NAMES[category] ?? category.replaceAll("_", " ");

  function paint(element, category) {
    element.classList.add(category in COLORS ? `fill-${COLORS[category]}` : "fill-rest");
    return element;
  }

  // goodput: seconds by category.
  function shares(parent, goodput) {
    const items = Object.entries(goodput ?? {}).filter(([category, seconds]) => category !== "goodput" && seconds > 0);
    const total = items.reduce((sum, [, seconds]) => sum + seconds, 0);
    if (!total) return false;
    const rank = (category) => (ORDER.includes(category) ? ORDER.indexOf(category) : ORDER.length);
    items.sort((a, b) => rank(a[0]) - rank(b[0]));
    const kept = items.find(([category]) => category === "step")?.[1] ?? 0;
    const head = addElement("p", parent, undefined, "goodput");
    addElement("strong", head, stats.percent(kept / total));
    head.append(` of ${stats.duration(total)} was training steps whose results were kept.`);
    const bar = addElement("div", parent, undefined, "shares");
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", items.map(([category, seconds]) => `${name(category)} ${stats.percent(seconds / total)}`).join(", "));
    for (const [category, seconds] of items) {
      const part = paint(addElement("span", bar), category);
      part.style.width = `${(100 * seconds) / total}%`;
      part.title = `${name(category)}: ${stats.duration(seconds)}, ${stats.percent(seconds / total)}`;
    }
    const legend = addElement("dl", parent, undefined, "share-list");
    for (const [category, seconds] of [...items].sort((a, b) => b[1] - a[1])) {
      const row = addElement("div", legend);
      paint(addElement("span", row, undefined, "swatch"), category);
      addElement("dt", row, name(category));
      addElement("dd", row, stats.duration(seconds));
      addElement("dd", row, stats.percent(seconds / total), "muted");
    }
    return true;
  }

  // attempts: [{ attempt, begin, end (seconds since the first), events: [...] }], drawn as
  // one band each over the wall time.
  function bands(parent, attempts) {
    const known = attempts.filter(({ begin, end }) => Number.isFinite(begin) && Number.isFinite(end));
    if (!known.length) return;
    const first = Math.min(...known.map(({ begin }) => begin)), last = Math.max(...known.map(({ end }) => end));
    const width = Math.max(last - first, 1e-9);
    const box = addElement("div", parent, undefined, "bands");
    for (const attempt of known) {
      const row = addElement("div", box, undefined, "band-row");
      addElement("span", row, `attempt ${attempt.attempt}`, "band-name");
      const track = addElement("span", row, undefined, "track");
      const band = addElement("span", track, attempt.text, "band");
      band.title = attempt.title;
      band.style.left = `${(100 * (attempt.begin - first)) / width}%`;
      band.style.width = `${Math.max((100 * (attempt.end - attempt.begin)) / width, 0.4)}%`;
      for (const event of attempt.events ?? []) {
        if (event.kind === "restart") continue;
        const tick = addElement("span", track, undefined, "tick");
        if (event.kind === "alarm") tick.classList.add("alarm"); else paint(tick, event.kind);
        tick.style.left = `${(100 * (event.at - first)) / width}%`;
        tick.title = event.text;
      }
    }
    const scale = addElement("div", box, undefined, "band-row");
    addElement("span", scale, "", "band-name");
    const ends = addElement("span", scale, undefined, "scale");
    addElement("span", ends, "0");
    addElement("span", ends, stats.duration(last - first));
  }

  // Attempts with seconds since the first one began, and the events within each.
  function attempts(list, events, row) {
    const seconds = (time) => (typeof time === "number" ? time : Date.parse(time) / 1000);
    const starts = list.map((attempt) => seconds(attempt.time)), first = starts.find(Number.isFinite) ?? NaN;
    return list.map((attempt, i) => {
      const number = attempt.attempt ?? i + 1, own = events.filter((event) => event.attempt === number);
      const times = own.map((event) => seconds(event.time)).filter(Number.isFinite);
      const end = Number.isFinite(seconds(attempt.end)) ? seconds(attempt.end) : Math.max(starts[i], ...times, ...(i === list.length - 1 && row.state === "running" ? [row.updated] : []));
      const isFresh = attempt.restored_step === null || attempt.restored_step === undefined;
      const text = isFresh ? (i ? "went on" : "from the start") : `from step ${attempt.restored_step.toLocaleString("en-US")}`;
      return {
        attempt: number, begin: starts[i] - first, end: end - first, text, last_step: attempt.last_step ?? null,
        title: `attempt ${number}, ${text}, ${stats.duration(end - starts[i])}`, time: attempt.time,
        events: own.map((event) => ({ kind: event.kind, text: event.text, count: event.count, at: seconds(event.time) - first })).filter(({ at }) => Number.isFinite(at)),
      };
    });
  }

  // Content of a table of attempts.
  function attemptTable(list) {
    const date = (time) => (typeof time === "number" ? new Date(1000 * time).toISOString() : String(time ?? "–")).replace("T", " ").replace(/\.\d+.*$/, "");
    return {
      names: ["attempt", "began (UTC)", "continued", "lasted", "alarms"],
      rows: list.map((a) => [a.attempt, date(a.time), a.text, stats.duration(a.end - a.begin), stats.alarmCount(a.events)]),
    };
  }

  return { shares, bands, attempts, attemptTable };
})();
