"use strict";
const format = (() => {
  // Colors of maps, from the lowest to the highest value.
  const SEQUENTIAL = {
    dark: ["#10203a", "#1d4a7a", "#2f86b5", "#5fc3b4", "#c5e48b", "#fff3a6"],
    light: ["#f1f6fb", "#c0dcee", "#7fb8d8", "#3f8abf", "#1c5a97", "#0b2f5e"],
  };

  // All text of a run enters the page here, as text and never as HTML.
  function addElement(name, parent, text, className) {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    parent?.append(element);
    return element;
  }

  // A button whose title is its name for a reader of screens.
  function addButton(parent, text, title, className) {
    const made = addElement("button", parent, text, className);
    made.type = "button";
    made.title = title;
    made.setAttribute("aria-label", title);
    return made;
  }

  function exponential(value, digits) {
    return value.toExponential(digits).replace(/\.?0*e/, "e").replace("e+", "e");
  }

  function valueText(value) {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    if (value !== 0 && (size < 1e-3 || size >= 1e15)) return exponential(value, 4);
    const rounded = Number.isInteger(value) ? value : Number(value.toPrecision(6));
    return rounded.toLocaleString("en-US", { maximumFractionDigits: 12 });
  }

  function truncate(text, length) {
    return text.length > length ? `${text.slice(0, length - 1)}…` : text;
  }

  // Ticks of an axis, 1, 2 or 5 times a power of ten apart, and at most about so many.
  function roundTicks(low, high, most) {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough)), ticks = [];
    const step = power * ([1, 2, 5].find((digit) => digit * power >= rough) ?? 10);
    for (let n = Math.ceil(low / step); n * step <= high && ticks.length <= most; n++) ticks.push(Number((n * step).toPrecision(12)));
    return ticks;
  }

  // Labels of the ticks of an axis, with as many digits as needed to tell them apart.
  function tickLabels(ticks) {
    const known = ticks.filter((v) => v !== null);
    const largest = Math.max(...known.map(Math.abs));
    const gap = known.slice(1).reduce((g, v, i) => Math.min(g, v - known[i]), largest) || 1;
    const isExact = (text, v) => Math.abs(Number(text) - v) < gap / 100;
    const scientific = (v) => {
      for (let digits = 0; digits <= 12; digits++) {
        if (isExact(v.toExponential(digits), v)) return exponential(v, digits);
      }
      return String(v);
    };
    const labels = (label) => ticks.map((v) => (v === null ? "" : v === 0 ? "0" : label(v)));
    if (largest < 1e-3 || largest >= 1e15) return labels(scientific);
    const units = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
    const [size, unit] = units.find(([s]) => largest >= Math.max(s, 1e4)) ?? [1, ""];
    let decimals = 0;
    while (decimals < 12 && known.some((v) => !isExact((v / size).toFixed(decimals) * size, v))) decimals++;
    return labels((v) => (v / size).toLocaleString("en-US", { maximumFractionDigits: decimals }) + unit);
  }

  const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

  // The unit of bytes of a size: its power of 1024 and its name.
  function byteUnit(size) {
    const power = Math.min(Math.max(Math.floor(Math.log2(Math.max(size, 1)) / 10), 0), BYTES.length - 1);
    return [1024 ** power, BYTES[power]];
  }

  function bytesText(value) {
    if (typeof value !== "number") return valueText(value);
    const [size, unit] = byteUnit(Math.abs(value));
    return `${Number((value / size).toPrecision(4))} ${unit}`;
  }

  function byteTickLabels(ticks) {
    const [size, unit] = byteUnit(Math.max(...ticks.map(Math.abs)));
    return tickLabels(ticks.map((v) => v / size)).map((text) => `${text} ${unit}`);
  }

  return { SEQUENTIAL, addButton, addElement, byteTickLabels, bytesText, roundTicks, valueText, truncate, tickLabels };
})();
