"use strict";
const words = (() => {
  // Text of the run reaches the page here, as text.
  function make(name, parent, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    parent?.append(made);
    return made;
  }

  function exponential(value, digits) {
    return value.toExponential(digits).replace(/\.?0*e/, "e").replace("e+", "e");
  }

  function shown(value) {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    if (value !== 0 && (size < 1e-3 || size >= 1e15)) return exponential(value, 4);
    const rounded = Number.isInteger(value) ? value : Number(value.toPrecision(6));
    return rounded.toLocaleString("en-US", { maximumFractionDigits: 12 });
  }

  function cut(text, length) {
    return text.length > length ? `${text.slice(0, length - 1)}…` : text;
  }

  // The labels of an axis, with as many digits as they need.
  function ticks(splits) {
    const real = splits.filter((v) => v !== null);
    const largest = Math.max(...real.map(Math.abs));
    const gap = real.slice(1).reduce((g, v, i) => Math.min(g, v - real[i]), largest) || 1;
    const near = (text, v) => Math.abs(Number(text) - v) < gap / 100;
    const write = (v) => {
      for (let digits = 0; digits <= 12; digits++) {
        const text = v.toExponential(digits);
        if (near(text, v)) return exponential(v, digits);
      }
      return String(v);
    };
    if (largest < 1e-3 || largest >= 1e15) return splits.map((v) => (v === null ? "" : v === 0 ? "0" : write(v)));
    const units = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
    const [size, unit] = units.find(([s]) => largest >= Math.max(s, 1e4)) ?? [1, ""];
    let decimals = 0;
    while (decimals < 12 && real.some((v) => !near((v / size).toFixed(decimals) * size, v))) decimals++;
    const label = (v) => (v / size).toLocaleString("en-US", { maximumFractionDigits: decimals });
    return splits.map((v) => (v === null ? "" : v === 0 ? "0" : label(v) + unit));
  }

  return { make, shown, cut, ticks };
})();
