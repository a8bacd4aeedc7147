// A frozen page: facts, tables, and charts over the columns that are embedded in it.
(() => {
  const { addElement } = format;
  const { columns, page } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const JUMP = 0.02; // share of the x range around an event

  const provider = {
    whole: true,
    load(chart, { axis }) {
      return page.charts[chart.index].lines.map((line) => {
        const own = line.on[axis];
        if (!own) return null;
        const { x, y, band, means, count, missing } = own, at = (index) => columns[index];
        return {
          x: at(x), y: at(y), count, missing, band: band?.map(at),
          means: means && { x: at(means.x), y: at(means.y), of: means.of },
        };
      });
    },
  };

  function axesOf(chart) {
    return Object.keys(page.axes).filter((axis) => chart.lines.some((line) => axis in line.on));
  }

  function addTable(parent, content, onJump) {
    const section = addElement("section", parent);
    section.id = `table-${byId("contents").childElementCount}`;
    addElement("h2", section, content.title);
    addLink(section.id, content.title);
    if (content.note) addElement("p", section, content.note, "note");
    if (content.rows.length) tables.add(section, content, onJump);
  }

  // The address keeps the settings of the charts, so links scroll without changing it.
  function addLink(id, title) {
    const link = addElement("a", byId("contents"), title);
    link.href = `#${id}`;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      byId(id).scrollIntoView();
    });
  }

  byId("kind").textContent = page.kind;
  byId("title").textContent = page.title;
  for (const [name, value] of page.facts) {
    const fact = addElement("div", byId("facts"));
    addElement("dt", fact, name);
    addElement("dd", fact, value);
  }
  byId("notes").hidden = !page.notes.length;
  for (const note of page.notes) addElement("li", byId("notes"), note);

  const shown = page.charts.map((chart, index) => ({ ...chart, index, axes: axesOf(chart) }));
  const axes = Object.keys(page.axes).filter((axis) => shown.some((chart) => chart.axes.includes(axis)));
  const usualAxis = axes.includes(page.axis) ? page.axis : axes[0];
  const labels = Object.fromEntries(axes.map((axis) => [axis, page.axes[axis]]));
  const board = charts.board(byId("cards"), {
    axes: labels, provider, marks: page.marks,
    settings: { axis: usualAxis, ...state.read(location.hash.slice(1), labels) },
    onChange: (settings) => {
      history.replaceState(null, "", `#${state.write(settings, usualAxis)}`);
      showZoom();
    },
  });

  // The maps are by step, and mark the steps that the charts are zoomed to.
  const maps = layermap.add(byId("maps").querySelector(".cards"), page.maps, {
    label: "step",
    onPick(x, width) { board.change({ axis: "step", zoom: { min: x - 3 * width, max: x + 3 * width } }); },
  });
  function showZoom() { maps.show(board.settings.axis === "step" ? board.settings.zoom : null); }
  byId("maps").hidden = !page.maps.length;

  // Zooms to an event.
  function jump(at) {
    const { axis } = board.settings, ends = shown.flatMap((chart) => provider.load(chart, { axis }).filter(Boolean).map((line) => line.x));
    const full = lines.extent(ends.map((x) => ({ x })));
    if (!full || !(axis in at)) return;
    const width = JUMP * (full.max - full.min) || 1;
    board.zoomTo({ min: at[axis] - width, max: at[axis] + width });
    byId("charts").scrollIntoView();
  }

  for (const table of page.tables_above) addTable(byId("tables-above"), table, jump);
  byId("charts").hidden = !shown.length;
  if (shown.length) addLink("charts", "Charts");
  byId("media").hidden = !page.media.length;
  if (page.media.length) {
    addLink("media", "Media");
    recorded.add(byId("media"), page.media);
  }
  for (const table of page.tables_below) addTable(byId("tables-below"), table, jump);
  controls.fill(byId("controls"), board);
  board.show(shown);
  showZoom();
  addEventListener("hashchange", () => board.set({ axis: usualAxis, zoom: null, smoothing: null, log: null, ys: {}, logs: {}, full: {}, filter: "", hidden: {}, events: true, ...state.read(location.hash.slice(1), labels) }));
})();
