"use strict";
// Charts by ECharts: heatmaps, scatter, parallel coordinates. Texts are drawn on the
// canvas and never become HTML. The library is loaded when a view needs it.
const plots = (() => {
  const { SEQUENTIAL, addElement, roundTicks } = format;
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  let loading = null;

  function load() {
    if (window.echarts) return Promise.resolve();
    loading ??= new Promise((done, fail) => {
      const script = document.createElement("script");
      script.src = "assets/echarts.min.js";
      script.onload = () => done();
      script.onerror = () => { loading = null; fail(new Error("The chart library could not be loaded. Reload the page.")); };
      document.head.append(script);
    });
    return loading;
  }

  function theme() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    return {
      dark: scheme.matches, text: color("--text"), muted: color("--muted"), grid: color("--grid"),
      panel: color("--panel"), background: color("--background"), accent: color("--accent"),
      sequential: scheme.matches ? SEQUENTIAL.dark : SEQUENTIAL.light,
    };
  }

  // A chart in an element of its own. `options(theme)` returns the options of ECharts and
  // is asked again when the theme changes; `bind(chart)` adds listeners.
  function create(parent, { height, label, options, bind }) {
    const box = addElement("div", parent, undefined, "echart");
    box.style.height = `${height}px`;
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", label);
    let chart = null, destroyed = false, current = options;
    const draw = () => {
      if (!chart) return;
      const colors = theme(), content = current(colors);
      chart.setOption({
        animation: false, backgroundColor: "transparent", textStyle: { color: colors.text, fontFamily: "system-ui, sans-serif" },
        ...content,
        tooltip: {
          renderMode: "richText", confine: true, backgroundColor: colors.panel, borderColor: colors.grid,
          textStyle: { color: colors.text, fontSize: 12 }, ...content.tooltip,
        },
      }, { notMerge: true });
    };
    const observer = new ResizeObserver(() => {
      if (!box.clientWidth || destroyed) return;
      if (chart) { chart.resize(); return; }
      chart = echarts.init(box, null, { renderer: "canvas" });
      box.chart = chart;
      draw();
      bind?.(chart);
    });
    const ready = load().then(() => { if (!destroyed) observer.observe(box); }, (error) => { box.textContent = error.message; });
    scheme.addEventListener("change", draw);
    return {
      box, ready,
      get chart() { return chart; },
      show(next) { current = next; draw(); },
      destroy() {
        destroyed = true;
        observer.disconnect();
        scheme.removeEventListener("change", draw);
        chart?.dispose();
        box.remove();
      },
    };
  }

  // Options of an axis in the colors of the page.
  function axis(colors, extra) {
    return {
      axisLine: { lineStyle: { color: colors.grid } }, axisTick: { lineStyle: { color: colors.grid } },
      splitLine: { show: false }, axisLabel: { color: colors.muted, fontSize: 11, hideOverlap: true },
      nameTextStyle: { color: colors.muted, fontSize: 12 }, ...extra,
    };
  }

  // Texts of positions, without digits that say nothing over their range.
  function places(xs) {
    const span = typeof xs[0] === "number" ? xs[xs.length - 1] - xs[0] : 0;
    return (x) => stats.short(typeof x === "number" && span > 50 ? Math.round(x) : x);
  }

  // Labels of a category axis of numbers: only round numbers, each at the category nearest to it.
  function roundLabels(values, most = 7) {
    const labels = new Map(), low = Math.min(...values), high = Math.max(...values);
    if (values.length < 3 || !values.every(Number.isFinite) || !(low < high)) return null;
    const nearest = (v) => values.reduce((best, x, i) => (Math.abs(x - v) < Math.abs(values[best] - v) ? i : best), 0);
    for (const tick of roundTicks(low, high, most)) {
      const at = nearest(tick);
      if (!labels.has(at)) labels.set(at, stats.short(tick));
    }
    return labels;
  }

  // Options of such an axis; texts and a few numbers are all shown.
  function categories(values, most) {
    const labels = roundLabels(values, most);
    if (!labels) return { data: values.map(places(values)) };
    const isLabelled = (index) => labels.has(index);
    return { data: values.map(String), axisTick: { interval: isLabelled }, axisLabel: { interval: isLabelled, formatter: (_, index) => labels.get(index) ?? "" } };
  }

  // An axis with the options of another one added, those of its labels and ticks too.
  function merged(base, extra) {
    const both = (name) => ({ [name]: { ...base[name], ...extra[name] } });
    return { ...base, ...extra, ...both("axisLabel"), ...both("axisTick") };
  }

  // Options of a heatmap: `values[row][column]`, rows from top to bottom. On a log scale
  // (`log`) the colors are of the logarithm; null is left blank. `ranges` are texts of what the columns hold.
  function heatmap({ xs, ranges, rows, values, log, xName, yName, valueName, square, left = 84 }) {
    return (colors) => {
      const level = (v) => (log ? Math.log10(v) : v);
      const cells = [];
      let low = Infinity, high = -Infinity;
      values.forEach((line, r) => line.forEach((v, c) => {
        if (v === null || !Number.isFinite(level(v))) return;
        cells.push([c, r, level(v), v]);
        low = Math.min(low, level(v));
        high = Math.max(high, level(v));
      }));
      if (!(low < high)) { low = Math.min(low, 0); high = low + 1; }
      const named = (v) => stats.short(log ? Number((10 ** v).toPrecision(4)) : v);
      return {
        grid: { left, right: 14, top: square && yName ? 26 : 8, bottom: 64 },
        xAxis: merged(axis(colors, { type: "category", name: xName, nameLocation: "middle", nameGap: 22 }), categories(xs)),
        yAxis: merged(axis(colors, { type: "category", inverse: true, name: yName, ...(square ? { nameLocation: "start" } : { nameLocation: "middle", nameGap: left - 18 }), axisLabel: { color: colors.muted, fontSize: 11, width: left - 12, overflow: "truncate", interval: rows.length > 24 ? "auto" : 0 } }),
          typeof rows[0] === "number" ? categories(rows, 9) : { data: rows.map((r) => format.truncate(String(r), 40)) }),
        visualMap: {
          min: low, max: high, calculable: false, orient: "horizontal", left: "center", bottom: 0, itemHeight: 140, itemWidth: 10, dimension: 2,
          inRange: { color: colors.sequential }, textStyle: { color: colors.muted, fontSize: 11 }, text: [named(high), `${valueName ?? ""} ${named(low)}`],
        },
        tooltip: { formatter: ({ data }) => `${typeof rows[0] === "number" ? stats.short(rows[data[1]]) : rows[data[1]]}\n${xName ?? ""} ${ranges?.[data[0]] ?? stats.short(xs[data[0]])}\n${valueName ?? "value"} ${stats.short(data[3])}` },
        series: [{
          type: "heatmap", data: cells, progressive: 0, itemStyle: { borderWidth: 0 }, emphasis: { itemStyle: { borderColor: colors.text, borderWidth: 1 } },
          labelLayout: { hideOverlap: true },
          label: { show: Boolean(square) && rows.length <= 15, fontSize: 10, formatter: ({ data }) => stats.short(data[3]) },
        }],
      };
    };
  }

  return { create, axis, categories, merged, heatmap, load };
})();
