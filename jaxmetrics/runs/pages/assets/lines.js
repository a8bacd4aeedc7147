"use strict";
// Data of the lines of a chart for uPlot: smoothing, range of y, nearest points.
const lines = (() => {
  const LONG = 400, AUTOMATIC = 0.005, DASHES = [[], [7, 4], [2, 3]];
  const MAX_SAMPLES = 200, CLIP_RATIO = 10, FLAT = 1e-9;
  const isNumber = (v) => v !== null && v !== undefined;

  // Exponential average of the straight line between the points, over the distance in x.
  // Series of different spacing lag by the same distance, so their gap is not distorted.
  function smooth(xs, ys, constant) {
    let first = null, lastX = 0, lastY = 0, sum = 0;
    return xs.map((x, i) => {
      const y = ys[i];
      if (!isNumber(y)) return null;
      if (first === null) first = lastX = x;
      else {
        const u = (x - lastX) / constant, gain = u > 0 ? -Math.expm1(-u) / u : 1;
        sum = Math.exp(-u) * (sum - lastY) + y - (y - lastY) * gain;
      }
      lastX = x;
      lastY = y;
      return x > first ? sum / -Math.expm1(-(x - first) / constant) : y;
    });
  }

  // Extent of the x of all lines.
  function extent(data) {
    let min = Infinity, max = -Infinity;
    for (const line of data) {
      if (!line?.x.length) continue;
      min = Math.min(min, line.x[0]);
      max = Math.max(max, line.x[line.x.length - 1]);
    }
    return min <= max ? { min, max } : null;
  }

  // Distance of automatic smoothing: a share of the range shown, if many values are in it.
  function automatic(own, range) {
    if (!range) return 0;
    const { x } = own, share = (bisect(x, range.max) - bisect(x, range.min)) / x.length;
    return own.count * share > LONG ? AUTOMATIC * (range.max - range.min) : 0;
  }

  // Whether all values are integers, such as counts and numbers of layers, which have no mean between them.
  function isCount(own) { return own.y.every((v) => !isNumber(v) || Number.isInteger(v)); }

  // Tables and series of a chart for uPlot, and what is drawn over them.
  // look: { log, smoothing (share of x, null: automatic), span (of the whole x), range (of x shown), colors, text, shown(line) }
  function prepare(chart, data, look) {
    const tables = [], series = [], bands = [], drawn = [];
    const visible = (ys) => (look.log ? ys.map((y) => (y > 0 ? y : null)) : ys);
    const add = (table, ...options) => { tables.push(table); series.push(...options); };
    chart.lines.forEach((line, index) => {
      const own = data[index];
      if (!own) return;
      const known = isNumber(line.color), round = known ? Math.floor(line.color / look.colors.length) : 1;
      const color = known ? look.colors[line.color % look.colors.length] : look.text;
      const dash = DASHES[round % DASHES.length], show = look.shown(line, index);
      const points = { size: 5, fill: color };
      const main = { label: line.name, group: index, show, diverged: line.diverged, scale: "y", pxAlign: 0, dash, stroke: line.faint ? `${color}70` : color, width: line.faint ? 1 : 1.8, points };
      const behind = { ...main, stroke: `${color}38`, width: 1, background: true, points: { show: false } };
      const constant = look.smoothing !== null ? look.smoothing * look.span : isCount(own) ? 0 : automatic(own, look.range);
      const isSmooth = constant > 0 && !own.band && !line.faint;
      const ys = visible(own.y), source = isSmooth ? own.means ?? own : own;
      const y = isSmooth ? smooth(source.x, visible(source.y), constant) : ys;
      if (own.band) {
        bands.push({ series: [series.length + 2, series.length + 1], fill: `${color}30` });
        add([own.x, ...own.band.map(visible)], { ...behind, width: 0 }, { ...behind, width: 0 });
      }
      if (isSmooth) add([own.x, ys], behind);
      add([source.x, y], main);
      const gaps = own.band && !own.missing ? [] : own.x.filter((_, i) => !isNumber(ys[i]));
      drawn.push({ line, index, color, dash, show, x: source.x, y, raw: isSmooth ? { x: own.x, y: ys } : null, gaps, isSmooth });
    });
    return { data: tables.length ? uPlot.join(tables) : [[]], series, bands, drawn };
  }

  // Index of the first x that is not below a value.
  function bisect(xs, value) {
    let low = 0, high = xs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle] < value) low = middle + 1; else high = middle;
    }
    return low;
  }

  // Index of the nearest point with a value, at most `distance` away; -1 if there is none.
  function nearest(xs, ys, x, distance) {
    let best = -1, gap = distance;
    const middle = bisect(xs, x);
    for (let i = middle; i < xs.length && xs[i] - x <= gap; i++) {
      if (isNumber(ys[i])) { gap = xs[i] - x; best = i; break; }
    }
    for (let i = middle - 1; i >= 0 && x - xs[i] <= gap; i--) {
      if (isNumber(ys[i])) return i;
    }
    return best;
  }

  // Range of y of shown series between two x. Far outliers are left out, unless `full`:
  // those of each line, or for `pooled` lines of several runs those of all lines together.
  function yRange(data, series, min, max, { log, full, pooled }) {
    const xs = data[0], from = bisect(xs, min), to = bisect(xs, max), end = xs[to] === max ? to + 1 : to;
    const scaled = log ? Math.log10 : (v) => v, limits = [], pool = [];
    let low = Infinity, high = -Infinity;
    const kept = { low: Infinity, high: -Infinity }; // of runs that did not diverge
    data.forEach((ys, s) => {
      if (!s || series[s].show === false) return;
      const found = [];
      for (let i = from; i < end; i++) {
        const v = ys[i];
        if (isNumber(v) && (!log || v > 0)) found.push(scaled(v));
      }
      const own = { low: Infinity, high: -Infinity };
      for (const v of found) { if (v < own.low) own.low = v; if (v > own.high) own.high = v; }
      low = Math.min(low, own.low);
      high = Math.max(high, own.high);
      if (series[s].diverged) return;
      kept.low = Math.min(kept.low, own.low);
      kept.high = Math.max(kept.high, own.high);
      const step = Math.max(Math.floor(found.length / MAX_SAMPLES), 1);
      const samples = found.filter((_, i) => i % step === 0);
      if (pooled) for (const v of samples) pool.push(v);
      else if (found.length) limits.push(clipped(samples, own.low, own.high) ?? own);
    });
    if (!(low <= high)) return null;
    if (!(kept.low <= kept.high)) Object.assign(kept, { low, high });
    if (high - low <= FLAT * Math.max(Math.abs(low), Math.abs(high))) low = high; // equal but for rounding
    const back = (v) => (log ? 10 ** v : v), clip = pooled ? clipped(pool, kept.low, kept.high) ?? kept
      : !limits.length ? kept : { low: Math.min(...limits.map((one) => one.low)), high: Math.max(...limits.map((one) => one.high)) };
    if (full || low === high) Object.assign(clip, { low, high });
    return { min: back(clip.low), max: back(clip.high), clipped: clip.low > low || clip.high < high };
  }

  // Limits without outliers that would press all other values into one line; null if there are none.
  function clipped(samples, low, high) {
    samples.sort((a, b) => a - b);
    const at = (share) => samples[Math.round(share * (samples.length - 1))];
    const width = at(0.75) - at(0.25);
    if (!(width > 0) || samples.length < 20) return null;
    const limits = { low: Math.max(low, at(0.25) - 3 * width), high: Math.min(high, at(0.75) + 3 * width) };
    return high - low > CLIP_RATIO * (limits.high - limits.low) ? limits : null;
  }

  return { bisect, extent, nearest, prepare, smooth, yRange };
})();
