"use strict";
// Settings of a board as text for location.hash. What is as usual is left out.
const state = (() => {
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

  function write(settings, usualAxis) {
    const { axis, zoom, smoothing, log, ys, logs, full, filter, hidden, events } = settings;
    const parts = new URLSearchParams();
    if (axis !== usualAxis) parts.set("axis", axis);
    if (zoom) parts.set("zoom", [zoom.min, zoom.max].map((v) => Number(v.toPrecision(8))).join(":"));
    if (smoothing !== null) parts.set("smoothing", smoothing);
    if (log !== null) parts.set("log", Number(log));
    if (filter) parts.set("filter", filter);
    if (!events) parts.set("events", 0);
    for (const [name, values] of Object.entries({ ys, logs, full, hidden })) {
      if (Object.keys(values ?? {}).length) parts.set(name, JSON.stringify(values));
    }
    return parts.toString();
  }

  // Settings of a text; what makes no sense is left out.
  function read(text, axes) {
    const parts = new URLSearchParams(text), settings = {};
    const number = (name) => (parts.get(name)?.trim() ? Number(parts.get(name)) : NaN);
    if (Object.hasOwn(axes, parts.get("axis") ?? "")) settings.axis = parts.get("axis");
    const zoom = (parts.get("zoom") ?? "").split(":").map(Number);
    if (zoom.length === 2 && zoom.every(Number.isFinite) && zoom[0] < zoom[1]) settings.zoom = { min: zoom[0], max: zoom[1] };
    if (number("smoothing") >= 0 && number("smoothing") <= 1) settings.smoothing = number("smoothing");
    if (parts.has("log")) settings.log = parts.get("log") === "1";
    if (parts.get("filter")) settings.filter = parts.get("filter");
    if (parts.get("events") === "0") settings.events = false;
    for (const name of ["ys", "logs", "full", "hidden"]) {
      try {
        const values = JSON.parse(parts.get(name) ?? "{}");
        if (isObject(values)) settings[name] = values;
      } catch { /* not JSON: left out */ }
    }
    return settings;
  }

  return { read, write };
})();
