"use strict";
// Cells of the media page: one kind of content each, filled into an element.
const mediacells = (() => {
  const { addElement } = format;
  const MAX_TEXT = 20000, MAX_ROWS = 200, MAX_IMAGES = 24;

  function text(cell, content, before) {
    const box = addElement("pre", cell, undefined, "text");
    const shown = format.truncate(String(content.text), MAX_TEXT);
    diff.fill(box, before?.text === undefined ? undefined : format.truncate(String(before.text), MAX_TEXT), shown);
    if (content.text.length > MAX_TEXT) addElement("p", cell, `The first ${MAX_TEXT.toLocaleString("en-US")} of ${content.text.length.toLocaleString("en-US")} characters.`, "note");
  }

  function isMatrix({ columns, rows }) {
    return rows.length > 1 && rows.length === columns.length && rows.every((row) => row.length === columns.length && row.every((v) => typeof v === "number"));
  }

  function tableOf(cell, content, before, own) {
    if (isMatrix(content)) { matrix(cell, content.rows, content.columns, own); return; }
    const box = addElement("table", addElement("div", cell, undefined, "scroll"), undefined, "data");
    const head = addElement("tr", addElement("thead", box)), body = addElement("tbody", box);
    const isNumber = content.columns.map((_, i) => content.rows.some((row) => typeof row[i] === "number"));
    content.columns.forEach((name, i) => { addElement("th", head, name, isNumber[i] ? "number" : "").scope = "col"; });
    content.rows.slice(0, MAX_ROWS).forEach((row, r) => {
      const line = addElement("tr", body);
      row.forEach((value, i) => {
        const td = addElement("td", line, undefined, isNumber[i] ? "number" : "");
        const show = (v) => (typeof v === "number" ? stats.short(v) : v === null ? "–" : typeof v === "object" ? JSON.stringify(v) : String(v));
        const old = before?.rows?.[r]?.[i];
        if (typeof value === "number" && typeof old === "number" && old !== value) addElement("mark", td, show(value));
        else diff.fill(td, before?.rows ? (old === undefined ? "" : show(old)) : undefined, show(value));
      });
    });
    if (content.rows.length > MAX_ROWS) addElement("p", cell, `The first ${MAX_ROWS} of ${content.rows.length.toLocaleString("en-US")} rows.`, "note");
  }

  // A matrix, such as a confusion matrix: labels are rows, predictions are columns.
  function matrix(cell, values, names, own) {
    const labels = names ?? values[0].map((_, i) => String(i));
    const isConfusion = values.length === values[0].length;
    own.plots.push(plots.create(cell, {
      height: Math.min(Math.max(150 + 22 * values.length, 220), 460), label: "matrix",
      options: plots.heatmap({
        xs: labels, rows: values.length === labels.length ? labels : values.map((_, i) => String(i)), values,
        log: false, square: true, xName: isConfusion ? "predicted" : "", yName: isConfusion ? "label" : "", left: Math.min(30 + 7 * Math.max(...labels.map((l) => l.length)), 130),
      }),
    }));
  }

  function array(cell, content, own) {
    const { array: values } = content;
    if (Array.isArray(values[0])) { matrix(cell, values, null, own); return; }
    bars(cell, values.map((v, i) => [i, v]), "entry", "value", own);
  }

  function bars(cell, points, xName, yName, own) {
    own.plots.push(plots.create(cell, {
      height: 200, label: `${yName} by ${xName}`,
      options: (colors) => ({
        grid: { left: 66, right: 10, top: 10, bottom: 40 },
        xAxis: plots.merged(plots.axis(colors, { type: "category", name: xName, nameLocation: "middle", nameGap: 24 }), plots.categories(points.map(([x]) => x))),
        yAxis: plots.axis(colors, { type: "value", name: yName, nameLocation: "middle", nameGap: 46, splitLine: { show: true, lineStyle: { color: colors.grid } } }),
        tooltip: { trigger: "item", formatter: ({ dataIndex: i }) => `${xName} ${stats.short(points[i][0])}\n${yName} ${stats.short(points[i][1])}` },
        series: [{ type: "bar", data: points.map(([, y]) => y), itemStyle: { color: colors.accent }, barCategoryGap: "8%" }],
      }),
    }));
  }

  function histogram(cell, { counts, edges, nonfinite }, own) {
    if (!counts.length) { addElement("p", cell, "No finite value.", "note"); return; }
    bars(cell, counts.map((count, i) => [(edges[i] + edges[i + 1]) / 2, count]), "value", "number of values", own);
    if (nonfinite) addElement("p", cell, `${nonfinite.toLocaleString("en-US")} values are not finite.`, "note");
  }

  // Histograms over steps as a heatmap: rows are bins over the range of all of them.
  function histograms(cell, list, own) {
    const known = list.filter(({ content }) => content.counts.length);
    if (known.length < 2) return;
    const low = Math.min(...known.map(({ content }) => content.edges[0]));
    const high = Math.max(...known.map(({ content }) => content.edges[content.edges.length - 1]));
    const bins = 40, width = (high - low) / bins || 1;
    const values = Array.from({ length: bins }, () => known.map(() => 0));
    known.forEach(({ content: { counts, edges } }, column) => {
      const total = counts.reduce((sum, n) => sum + n, 0) || 1;
      counts.forEach((count, i) => { // spread over the rows that the bin covers
        const from = (edges[i] - low) / width, to = Math.max((edges[i + 1] - low) / width, from + 1e-9);
        for (let row = Math.max(Math.floor(from), 0); row < Math.min(to, bins); row++) {
          const share = (Math.min(to, row + 1) - Math.max(from, row)) / (to - from);
          values[bins - 1 - row][column] += (100 * count * Math.max(share, 0)) / total;
        }
      });
    });
    const names = values.map((_, i) => Number((low + (bins - 1 - i + 0.5) * width).toPrecision(3)));
    own.plots.push(plots.create(cell, {
      height: 300, label: "histograms by step",
      options: plots.heatmap({ xs: known.map((entry) => entry.step), rows: names, values: values.map((row) => row.map((v) => (v > 0 ? v : null))), log: false, xName: "step", yName: "value", valueName: "% of values", left: 66 }),
    }));
  }

  // Probability of the label of each holdout example over steps; examples that are
  // learned best at the end are on top.
  function holdout(cell, list, own) {
    const rows = new Map();
    list.forEach(({ content }, column) => content.rows.forEach(([example, label, , , p]) => {
      if (!rows.has(example)) rows.set(example, { name: `${example} (${label})`, values: list.map(() => null) });
      rows.get(example).values[column] = p;
    }));
    const last = (row) => row.values.findLast((v) => v !== null) ?? -1;
    const order = [...rows.values()].sort((a, b) => last(b) - last(a));
    own.plots.push(plots.create(cell, {
      height: Math.min(110 + 12 * order.length, 460), label: "probability of the label by step",
      options: plots.heatmap({ xs: list.map((entry) => entry.step), rows: order.map((row) => row.name), values: order.map((row) => row.values), log: false, xName: "step", valueName: "p(label)", left: 76 }),
    }));
  }

  function overSteps(cell, kind, list, own) {
    if (kind === "holdout") holdout(cell, list, own); else histograms(cell, list, own);
  }

  function files(cell, kind, content) {
    const box = addElement("div", cell, undefined, "files");
    for (const url of (content.files ?? []).slice(0, MAX_IMAGES)) {
      const address = api.fileUrl(url);
      if (!address) { addElement("p", box, "This file is not in the saved view.", "note"); continue; }
      const element = addElement(kind === "audio" ? "audio" : "img", box);
      if (kind === "audio") { element.controls = true; element.preload = "none"; } else { element.alt = `${content.key} at step ${content.step}`; element.loading = "lazy"; }
      element.addEventListener("error", () => element.replaceWith(addElement("p", null, "This file cannot be shown.", "note")));
      element.src = address;
    }
    if (content.files?.length > MAX_IMAGES) addElement("p", cell, `The first ${MAX_IMAGES} of ${content.files.length}.`, "note");
    for (const name of content.missing ?? []) addElement("p", cell, `${name} is missing.`, "note");
  }

  // Fills a cell. `before` is what differences are to; `own.plots` gets the charts.
  function fill(cell, kind, content, before, own) {
    if (content.text !== undefined) text(cell, content, before);
    else if (content.columns) tableOf(cell, content, before, own);
    else if (content.array) array(cell, content, own);
    else if (content.counts) histogram(cell, content, own);
    else if (content.files || content.missing) files(cell, kind, content);
    else addElement("p", cell, `Nothing here shows media of kind ${kind}.`, "note");
  }

  return { fill, overSteps };
})();
