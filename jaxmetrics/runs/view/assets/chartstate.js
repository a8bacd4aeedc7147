"use strict";
// Settings of charts as a part of the address, without those that have their default.
const chartstate = (() => {
  const AXES = { step: "step", time: "training time", tokens: "tokens", flops: "FLOPs" };
  const DEFAULTS = { axis: "step", zoom: null, smoothing: null, log: null, ys: {}, logs: {}, full: {}, filter: "", hidden: {}, events: true };

  function read(values) {
    return { ...structuredClone(DEFAULTS), ...state.read(values.charts ?? "", AXES) };
  }

  function patch(settings) { return { charts: state.write(settings, "step") || null }; }

  function palette() {
    const style = getComputedStyle(document.documentElement);
    return [...Array(8).keys()].map((i) => style.getPropertyValue(`--series-${i}`).trim()).filter(Boolean);
  }

  return { AXES, read, patch, palette };
})();
