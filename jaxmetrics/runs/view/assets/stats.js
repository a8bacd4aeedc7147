"use strict";
// Numbers over runs: means with errors, means of lines over the runs that are alive.
const stats = (() => {
  const MAX_GRID = 600;

  // Mean, standard error and number of the finite values.
  function summarize(values) {
    const finite = values.filter(Number.isFinite), n = finite.length;
    if (!n) return { mean: null, error: null, n: 0 };
    const mean = finite.reduce((sum, v) => sum + v, 0) / n;
    const squares = finite.reduce((sum, v) => sum + (v - mean) ** 2, 0);
    return { mean, error: n > 1 ? Math.sqrt(squares / (n - 1) / n) : null, n };
  }

  // "2.031 ± 0.012": the error with two digits, and the mean with as many decimals.
  function withError(mean, error) {
    if (mean === null) return "–";
    if (!error) return short(mean);
    const size = Math.max(Math.abs(mean), error);
    if (size >= 1e6 || size < 1e-3) {
      const digits = Math.floor(Math.log10(size)) - Math.floor(Math.log10(error)) + 1;
      const power = Math.floor(Math.log10(size)), scale = 10 ** power;
      const decimals = Math.min(Math.max(digits, 0), 12);
      return `(${(mean / scale).toFixed(decimals)} ± ${(error / scale).toFixed(decimals)})e${power}`;
    }
    const decimals = Math.min(Math.max(1 - Math.floor(Math.log10(error)), 0), 12);
    const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    return `${mean.toLocaleString("en-US", options)} ± ${error.toLocaleString("en-US", options)}`;
  }

  // Finite points of a line; of a line of extremes its means of windows.
  function finitePoints(line) {
    const { x, y } = line.means ?? line, xs = [], ys = [];
    x.forEach((at, i) => { if (at !== null && y[i] !== null) { xs.push(at); ys.push(y[i]); } });
    return { xs, ys };
  }

  function grid(members) {
    const all = [...new Set(members.flatMap(({ xs }) => xs))].sort((a, b) => a - b);
    if (all.length <= MAX_GRID) return all;
    const low = all[0], high = all[all.length - 1];
    const step = (high - low) / (MAX_GRID - 1);
    return Array.from({ length: MAX_GRID }, (_, i) => (i === MAX_GRID - 1 ? high : low + i * step));
  }

  // The mean of lines, with the standard error as band. At each x it is over the lines
  // that begin before and end after it, which are interpolated; `n` counts them.
  function meanLine(lines) {
    const members = lines.map(finitePoints).filter(({ xs }) => xs.length);
    const out = { x: [], y: [], band: [[], []], n: [], count: 0, missing: 0 };
    const places = members.map(() => 0);
    for (const x of grid(members)) {
      const values = [];
      members.forEach(({ xs, ys }, m) => {
        if (x < xs[0] || x > xs[xs.length - 1]) return;
        while (places[m] + 1 < xs.length && xs[places[m] + 1] <= x) places[m]++;
        const i = places[m];
        const share = i + 1 < xs.length ? (x - xs[i]) / (xs[i + 1] - xs[i]) : 0;
        values.push(share > 0 ? ys[i] + share * (ys[i + 1] - ys[i]) : ys[i]);
      });
      const { mean, error, n } = summarize(values);
      if (!n) continue;
      out.x.push(x);
      out.y.push(mean);
      out.band[0].push(mean - (error ?? 0));
      out.band[1].push(mean + (error ?? 0));
      out.n.push(n);
    }
    out.count = out.x.length;
    return out;
  }

  const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

  // "3d04h", "2h05m", "9.7s": the two largest units, as in the facts of a run and the terminal.
  function duration(seconds) {
    if (!Number.isFinite(seconds)) return "–";
    if (seconds < 9.95 && seconds % 1) return `${seconds.toFixed(1)}s`;
    const whole = Math.round(seconds), i = UNITS.findIndex(([, size]) => whole >= size);
    if (i < 0 || i === UNITS.length - 1) return `${whole}s`;
    const [[unit, size], [smaller, part]] = UNITS.slice(i);
    return `${Math.floor(whole / size)}${unit}${String(Math.floor((whole % size) / part)).padStart(2, "0")}${smaller}`;
  }

  function ago(unixSeconds) {
    if (!Number.isFinite(unixSeconds)) return "–";
    const seconds = Date.now() / 1000 - unixSeconds;
    return seconds < 5 ? "now" : seconds < 0 ? new Date(1000 * unixSeconds).toISOString().slice(0, 10) : `${duration(seconds)} ago`;
  }

  // "4.53", "0.0006", "1.2e-5": four digits, for tables.
  function short(value) {
    if (typeof value !== "number") return format.valueText(value);
    if (!Number.isFinite(value)) return String(value);
    if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en-US");
    return format.valueText(Number(value.toPrecision(4)));
  }

  function percent(share) { return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`; }

  // Training seconds left of a run that is still written; null if unknown.
  function secondsLeft(row) { return row.state === "running" ? row.time_left ?? null : null; }

  // Number of alarms among events; equal and frequent ones share an event.
  function alarmCount(events) { return events.reduce((n, { kind, count }) => n + (kind === "alarm" ? count : 0), 0); }

  // Names of the parameters with more than one value over the rows.
  function differing(rows, names) {
    const seen = new Map(names.map((name) => [name, new Set()]));
    for (const row of rows) for (const name of names) seen.get(name).add(JSON.stringify(row.hparams[name] ?? null));
    return names.filter((name) => seen.get(name).size > 1);
  }

  return { alarmCount, summarize, withError, meanLine, duration, ago, short, percent, secondsLeft, differing };
})();
