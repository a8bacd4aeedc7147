"use strict";
// The controls of a board of charts: axis, smoothing, scale, events, filter, zoom.
const controls = (() => {
  const { addElement } = format;
  const SMOOTHING = [["", "automatic"], ["0", "none"], ["0.002", "0.2 % of x"], ["0.005", "0.5 % of x"], ["0.01", "1 % of x"], ["0.02", "2 % of x"], ["0.05", "5 % of x"], ["0.1", "10 % of x"]];
  const SCALES = [["", "automatic"], ["0", "linear"], ["1", "log"]];

  const HELP = [
    "Drag across a chart to zoom all charts in x; hold shift and drag up or down to zoom one chart in y.",
    "Double-click, or press 0, for the whole range.",
    "Touch: two fingers zoom, one finger moves a zoomed chart and reads the values of a whole one.",
    `Keyboard, on a chart: ${keyboard.HELP}`,
    "A click on a name hides or shows its line. The address keeps the view.",
  ];

  function select(form, id, label, options) {
    const field = addElement("select", addElement("label", form, `${label} `));
    field.id = id;
    for (const [value, text] of options) addElement("option", field, text).value = value;
    return field;
  }

  // Fills a form. `axes` are the names of the axes to offer, all by default.
  function fill(form, board, axes = Object.keys(board.axes)) {
    const { settings } = board;
    form.textContent = "";
    form.setAttribute("role", "toolbar");
    form.setAttribute("aria-label", "Charts");
    const axis = select(form, "axis", "x axis", axes.map((name) => [name, board.axes[name]]));
    const smoothing = select(form, "smoothing", "smoothing", SMOOTHING);
    const scale = select(form, "scale", "y scale", SCALES);
    const box = addElement("label", form), events = addElement("input", box);
    events.type = "checkbox";
    events.id = "events";
    box.append(" events");
    const filter = addElement("input", addElement("label", form, "show "));
    Object.assign(filter, { id: "filter", type: "search", placeholder: "names, or /regex/", size: 16 });
    const reset = addElement("button", form, "reset zoom");
    Object.assign(reset, { id: "reset", type: "button" });

    function update() {
      axis.value = settings.axis;
      const share = settings.smoothing === null ? "" : String(settings.smoothing);
      if (![...smoothing.options].some((option) => option.value === share)) addElement("option", smoothing, `${100 * settings.smoothing} % of x`).value = share;
      smoothing.value = share;
      scale.value = settings.log === null ? "" : String(Number(settings.log));
      events.checked = settings.events;
      if (document.activeElement !== filter) filter.value = settings.filter;
      reset.disabled = !settings.zoom && !Object.keys(settings.ys).length;
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    axis.addEventListener("change", () => board.change({ axis: axis.value }));
    smoothing.addEventListener("change", () => board.change({ smoothing: smoothing.value === "" ? null : Number(smoothing.value) }));
    scale.addEventListener("change", () => board.change({ log: scale.value === "" ? null : scale.value === "1", logs: {} }));
    events.addEventListener("change", () => board.change({ events: events.checked }));
    filter.addEventListener("input", () => board.change({ filter: filter.value }));
    reset.addEventListener("click", () => board.reset());
    const help = addElement("details", form, undefined, "help"), list = addElement("ul");
    addElement("summary", help, "?").setAttribute("aria-label", "Help for the charts");
    for (const text of HELP) addElement("li", list, text);
    help.append(list);
    help.addEventListener("keydown", (event) => { if (event.key === "Escape") help.open = false; });
    board.bind({ update });
    update();
  }

  return { fill };
})();
