"use strict";
// The frame of the viewer: navigation, connection, and the view of the route.
const app = (() => {
  const { addElement } = format;
  const VIEWS = { runs: runsView, run: runView, media: mediaView, sweep: sweepView };
  const LINKS = [["runs", "Runs"], ["sweep", "Sweep"], ["media", "Media"]];
  const byId = (id) => document.getElementById(id);
  let shown = null, shownKey = "";

  function setRoot(path) {
    byId("root").title = path;
    byId("root").textContent = format.truncate(path.split("/").slice(-2).join("/"), 40);
  }

  function showLinks(route) {
    const nav = byId("views");
    nav.textContent = "";
    for (const [view, text] of LINKS) {
      const link = addElement("a", nav, text);
      link.href = route.view === view ? router.href(view, route.path, route.state) : router.href(view);
      if (route.view === view || (view === "runs" && route.view === "run")) link.setAttribute("aria-current", "page");
    }
  }

  function show(route) {
    const key = JSON.stringify([route.view, route.path]);
    showLinks(route);
    if (shown && key === shownKey) { shown.update(route); return; }
    shown?.destroy();
    shown = null;
    shownKey = key;
    const main = byId("main");
    main.textContent = main.className = "";
    if (!api.saved) api.forget();
    ui.message(null);
    scrollTo(0, 0);
    const view = VIEWS[route.view];
    if (!view || (route.view === "run" && !route.path.length)) {
      const box = ui.emptyState(main, "There is no such page", "The address is not one of the viewer.");
      addElement("a", box, "All runs").href = "#/runs";
      return;
    }
    shown = view.mount(main, route);
    document.title = `${shown.title} · jaxmetrics`;
  }

  const STATES = { live: ["live", "changes of runs are shown as they come"], lost: ["connection lost", "trying to reach the server again"], refused: ["not connected", api.STARTED_ANEW] };
  api.onState((state) => {
    const [text, title] = STATES[state];
    byId("connection").textContent = text;
    byId("connection").title = title;
    byId("connection").className = state === "live" ? "live" : "lost";
    if (state === "refused") ui.message(api.STARTED_ANEW);
  });
  api.onChanges((runs) => shown?.changed?.(runs));

  // The root names what the browser remembers, so it is asked before the first view.
  async function start() {
    byId("save")?.addEventListener("click", async (event) => {
      event.target.disabled = true;
      try { await save.download(); } catch (error) { ui.message(`The view could not be saved: ${error.message}`); }
      event.target.disabled = false;
    });
    if (api.saved) {
      byId("connection").textContent = `saved ${api.saved.time.slice(0, 16).replace("T", " ")} UTC`;
      if (!location.hash) history.replaceState(null, "", api.saved.hash);
      router.reread();
    }
    router.start(show);
    api.connect();
  }

  queueMicrotask(start);
  return { setRoot, complete: () => shown?.complete?.() };
})();
