"use strict";
// Routes of the form #/view/path?name=value: all state of a view is in the address.
const router = (() => {
  let current = parse(location.hash), listener = null;

  function parse(hash) {
    const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
    const parts = path.split("/").map(decode).filter((part) => part !== "");
    return { view: parts[0] ?? "runs", path: parts.slice(1), state: Object.fromEntries(new URLSearchParams(query)) };
  }

  function decode(text) {
    try { return decodeURIComponent(text); } catch { return text; }
  }

  function href(view, path = [], state = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) {
      if (value !== null && value !== undefined && value !== "") query.set(name, value);
    }
    const text = query.toString();
    return `#/${[view, ...path].map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
  }

  // Changes values of the state (null removes one). `replace` adds no entry to the
  // history, for changes that follow each other, as of a slider.
  function update(patch, replace = false) {
    const state = { ...current.state, ...patch };
    const target = href(current.view, current.path, state);
    if (target === href(current.view, current.path, current.state)) return;
    history[replace ? "replaceState" : "pushState"](null, "", target);
    current = parse(location.hash);
  }

  function arrive() {
    const next = parse(location.hash);
    if (href(next.view, next.path, next.state) === href(current.view, current.path, current.state)) return;
    current = next;
    listener?.(current);
  }

  addEventListener("popstate", arrive);
  addEventListener("hashchange", arrive);

  return {
    href, update,
    reread() { current = parse(location.hash); },
    get current() { return current; },
    start(onRoute) { listener = onRoute; onRoute(current); },
    go(view, path, state) { location.hash = href(view, path, state); },
  };
})();
