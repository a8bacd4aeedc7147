"use strict";
// Requests to the server, the stream of its changes, and the answers of a saved view.
const api = (() => {
  const STARTED_ANEW = "The server was started anew and does not know this page. Open the address that `jaxmetrics view` printed; this page then goes on by itself.";
  const RETRY = [500, 1000, 2000, 5000];
  const saved = (() => {
    const holder = document.getElementById("saved");
    return holder ? JSON.parse(holder.textContent) : null;
  })();
  const answers = new Map(), files = new Set(), listeners = new Set(), stateListeners = new Set();
  let stream = null, failures = 0, timer = null, wasLost = false;

  class ApiError extends Error {
    constructor(text, status) { super(text); this.status = status; }
  }

  function address(path, params = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(params)) {
      if (Array.isArray(value)) for (const one of value) query.append(name, one);
      else if (value !== null && value !== undefined && value !== "") query.set(name, value);
    }
    const text = query.toString();
    return `api/${path}${text ? `?${text}` : ""}`;
  }

  function runPath(id, rest = "") {
    return `run/${id.split("/").map(encodeURIComponent).join("/")}${rest && `/${rest}`}`;
  }

  // The answer stored in a saved view. A zoom that was not stored shows what was, and
  // series are put together from all answers that have them.
  function savedAnswer(url) {
    if (url in saved.answers) return saved.answers[url];
    if (url.includes("/series?")) return savedSeries(url);
    const free = (text) => {
      const [path, query] = text.split("?"), params = new URLSearchParams(query);
      for (const name of ["from", "to", "columns"]) params.delete(name);
      return `${path}?${params}`;
    };
    const match = Object.keys(saved.answers).find((stored) => free(stored) === free(url));
    if (match) return saved.answers[match];
    throw new ApiError("This is not stored in the saved view. Open the run in `jaxmetrics view`.", 404);
  }

  function savedSeries(url) {
    const parts = (text) => { const [path, query] = text.split("?"); return { path, params: new URLSearchParams(query) }; };
    const { path, params } = parts(url), series = {};
    for (const [stored, answer] of Object.entries(saved.answers)) {
      const other = parts(stored);
      if (other.path !== path || other.params.get("x") !== params.get("x")) continue;
      const isWhole = !other.params.has("from");
      for (const key of params.getAll("key")) if (answer.series[key] && (isWhole || !series[key])) series[key] = answer.series[key];
    }
    return { series };
  }

  async function get(path, params, signal) {
    const url = address(path, params);
    if (saved) return savedAnswer(url);
    const content = await ask(url, signal);
    answers.set(url, content);
    return content;
  }

  async function ask(url, signal) {
    let response;
    try {
      response = await fetch(url, { signal, credentials: "same-origin" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      setState("lost");
      throw new ApiError("The server does not answer. Start `jaxmetrics view` again; this page reconnects by itself.", 0);
    }
    const text = await response.text();
    let content = null;
    try { content = JSON.parse(text); } catch { /* no JSON: an error below */ }
    if (!response.ok) throw new ApiError(problemText(response.status, content, text), response.status);
    return content;
  }

  function problemText(status, content, text) {
    if (typeof content?.error === "string") return content.error;
    if (status === 401 || status === 403) return STARTED_ANEW;
    return `The server answered with status ${status}: ${format.truncate(text, 300)}`;
  }

  // URL of a file of a run; in a saved view its content, or null.
  function fileUrl(url) {
    const path = url.replace(/^\//, "");
    if (saved) return saved.files[path] ?? null;
    files.add(path);
    return path;
  }

  function setState(state) {
    if (state !== "live") wasLost = true;
    for (const listener of stateListeners) listener(state);
  }

  function connect() {
    if (saved || stream || document.hidden) return;
    clearTimeout(timer);
    stream = new EventSource("api/changes");
    stream.onopen = () => {
      failures = 0;
      setState("live");
      if (!wasLost) return;
      wasLost = false;
      for (const listener of listeners) listener(null);
    };
    stream.onmessage = (event) => {
      let runs;
      try { runs = JSON.parse(event.data).runs; } catch { return; }
      if (runs?.length) for (const listener of listeners) listener(runs);
    };
    stream.onerror = () => {
      const wasRefused = stream.readyState === EventSource.CLOSED;
      disconnect();
      setState("lost");
      // A server that was started anew has another token: the page says what to do.
      if (wasRefused) fetch("api/changes", { method: "HEAD" }).then(({ status }) => { if (status === 401) setState("refused"); }, () => {});
      timer = setTimeout(connect, RETRY[Math.min(failures++, RETRY.length - 1)]);
    };
  }

  // The token is in the address only until it is exchanged for a cookie.
  if (!saved && location.search) history.replaceState(null, "", location.pathname + location.hash);

  function disconnect() {
    stream?.close();
    stream = null;
    clearTimeout(timer);
  }

  // A hidden tab asks for nothing; when it is seen again, all that it shows is outdated.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { disconnect(); wasLost = true; } else connect();
  });
  addEventListener("pagehide", disconnect);

  // Calls listener with [{id, version, reset}], or with null if anything may have changed.
  function onChanges(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  // Calls an asynchronous function again and again, at most once per `wait` ms, and never
  // while it still runs. The last call is not lost.
  function throttle(call, wait) {
    let last = -Infinity, timer = null, isRunning = false, isWanted = false;
    const run = async () => {
      timer = null;
      isRunning = true;
      isWanted = false;
      try { await call(); } finally {
        isRunning = false;
        last = performance.now();
        if (isWanted) throttled();
      }
    };
    const throttled = () => {
      if (isRunning) isWanted = true;
      else timer ??= setTimeout(run, Math.max(0, last + wait - performance.now()));
    };
    throttled.cancel = () => { clearTimeout(timer); isWanted = false; };
    return throttled;
  }

  // Resolves when no series is on its way: a chart that is loaded anew while an answer is
  // on its way drops that answer.
  async function settled() {
    while (pending.size) await Promise.allSettled([...pending]);
  }

  // Series of runs. Keys asked in one turn for the same run and range share a request, and
  // of a series that is held already only what is new is asked for.
  const MAX_HELD = 1000, held = new Map(), waiting = new Map(), pending = new Set();
  function series(id, key, { axis, min, max, points }) {
    const params = { x: axis, from: min, to: max, points };
    const group = JSON.stringify([id, params]);
    if (!waiting.has(group)) {
      const batch = { keys: new Set() };
      batch.answer = Promise.resolve().then(() => {
        waiting.delete(group);
        return askSeries(id, group, [...batch.keys].sort(), params);
      });
      waiting.set(group, batch);
      pending.add(batch.answer);
      const done = () => pending.delete(batch.answer);
      batch.answer.then(done, done);
    }
    const batch = waiting.get(group);
    batch.keys.add(key);
    return batch.answer.then((answer) => answer.series[key] ?? { x: [], y: [], count: 0, missing: 0 });
  }

  async function askSeries(id, group, keys, params) {
    const path = runPath(id, "series"), whole = { key: keys, ...params };
    if (saved) return get(path, whole);
    const places = keys.map((key) => JSON.stringify([group, key])), old = places.map((place) => held.get(place));
    const after = old.some((line) => line?.end) ? old.map((line) => line?.end ?? "") : null;
    const answer = await ask(address(path, { ...whole, after }));
    keys.forEach((key, i) => {
      const line = answer.series[key];
      if (!line) return;
      if (answer.sampled) line.sampled = true;
      if (line.since !== undefined) answer.series[key] = joined(old[i], line);
      held.delete(places[i]); // the places asked for last are at the end
      if (line.end) held.set(places[i], answer.series[key]);
    });
    for (const place of held.keys()) { if (held.size <= MAX_HELD) break; held.delete(place); }
    answers.set(address(path, whole), answer);
    return answer;
  }

  // A line with its last window replaced by what came since.
  function joined(old, { since, ...line }) {
    const join = (one, other) => {
      let kept = one.x.length;
      while (kept && one.x[kept - 1] >= since) kept--;
      return { ...other, x: one.x.slice(0, kept).concat(other.x), y: one.y.slice(0, kept).concat(other.y) };
    };
    return { ...join(old, line), ...(line.means ? { means: join(old.means, line.means) } : {}) };
  }

  return {
    get, series, settled, runPath, fileUrl, connect, onChanges, throttle, saved, answers, files, ApiError, STARTED_ANEW,
    onState: (listener) => stateListeners.add(listener),
    forget: () => { answers.clear(); files.clear(); },
  };
})();
