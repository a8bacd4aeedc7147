"use strict";
// Media of a frozen page: one slider for all steps, and a card for each key.
const recorded = (() => {
  const { addElement, valueText } = format;

  // Adds the cards of media: [{ key, kind, items: [{ step, text | table | counts | images | audio | matrix }] }].
  function add(parent, media) {
    const steps = [...new Set(media.flatMap(({ items }) => items.map((item) => item.step)))].sort((a, b) => a - b);
    const form = addElement("form", parent, undefined, "steps"), label = addElement("label", form, "step ");
    const slider = addElement("input", label), shown = addElement("output", label);
    Object.assign(slider, { type: "range", min: 0, max: steps.length - 1, step: 1, value: steps.length - 1, id: "media-step" });
    form.hidden = steps.length < 2;
    form.addEventListener("submit", (event) => event.preventDefault());
    const grid = addElement("div", parent, undefined, "cards media");
    const cards = media.map(({ key, kind, items }) => {
      const box = addElement("article", grid, undefined, "card");
      const title = addElement("h4", box, key);
      return { key, kind, items, title, body: addElement("div", box, undefined, "scroll"), note: addElement("p", box, "", "note"), current: null };
    });
    // Each card has its last content at or before the step of the slider.
    function show() {
      const step = steps[slider.value];
      shown.textContent = valueText(step);
      for (const card of cards) {
        const item = card.items.filter((one) => one.step <= step).pop() ?? null;
        if (item === card.current && item) continue;
        card.current = item;
        card.body.textContent = "";
        card.note.textContent = item ? `${card.kind} at step ${valueText(item.step)}${restOf(item)}` : "Not recorded yet.";
        if (item) fill(card.body, item, card.key);
      }
    }
    slider.addEventListener("input", show);
    show();
  }

  function restOf({ of, images, audio, table }) {
    const files = images ?? audio, [count, all] = files ? [files.length, of] : table ? [table.rows.length, table.of] : [0, 0];
    return all > count ? `, the first ${count} of ${valueText(all)}` : "";
  }

  function fill(parent, item, key) {
    if ("text" in item) addElement("pre", parent, item.text);
    else if (item.table) tables.add(parent, item.table);
    else if (item.images) {
      for (const source of item.images) Object.assign(addElement("img", parent), { src: source, alt: `${key} at step ${item.step}` });
    } else if (item.audio) {
      for (const source of item.audio) Object.assign(addElement("audio", parent), { src: source, controls: true, preload: "metadata", title: `${key} at step ${item.step}` });
    } else if (item.matrix) addMatrix(parent, item.matrix);
    else if (item.counts) addBars(parent, item);
  }

  // A matrix as a table whose cells are the stronger colored the larger they are.
  function addMatrix(parent, rows) {
    const values = rows.flat().filter((v) => v !== null), low = Math.min(0, ...values), high = Math.max(...values);
    const table = addElement("table", parent, undefined, "matrix"), isSmall = rows[0].length <= 12;
    rows.forEach((row) => {
      const line = addElement("tr", table);
      for (const value of row) {
        const share = value === null || high <= low ? 0 : (value - low) / (high - low);
        const cell = addElement("td", line, isSmall ? valueText(value === null ? null : Number(value.toPrecision(3))) : "");
        cell.title = valueText(value);
        cell.style.background = `color-mix(in srgb, var(--accent) ${Math.round(85 * share)}%, transparent)`;
      }
    });
  }

  function addBars(parent, { counts, edges }) {
    const chart = addElement("div", parent, undefined, "histogram"), highest = Math.max(...counts, 1);
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", `histogram from ${valueText(edges[0])} to ${valueText(edges[edges.length - 1])}`);
    counts.forEach((count, i) => {
      const bar = addElement("span", chart);
      bar.style.height = `${(100 * count) / highest}%`;
      bar.style.flexGrow = String(Math.max(edges[i + 1] - edges[i], 0));
      bar.title = `${valueText(edges[i])} to ${valueText(edges[i + 1])}: ${valueText(count)}`;
    });
    addElement("p", parent, `${valueText(edges[0])} … ${valueText(edges[edges.length - 1])}`, "note");
  }

  return { add };
})();
