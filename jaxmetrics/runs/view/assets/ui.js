"use strict";
// Buttons, menus and messages that the views share.
const ui = (() => {
  const { addElement } = format;

  function button(parent, text, onClick, { title, label, className } = {}) {
    const element = addElement("button", parent, text, className);
    element.type = "button";
    if (title) element.title = title;
    if (label) element.setAttribute("aria-label", label);
    element.addEventListener("click", onClick);
    return element;
  }

  // A labelled list of [value, text] or texts.
  function select(parent, label, options, value, onChange) {
    const box = addElement("label", parent, undefined, "field");
    addElement("span", box, label);
    const list = addElement("select", box);
    list.fill = (items, chosen) => {
      list.textContent = "";
      for (const item of items) {
        const [name, text] = Array.isArray(item) ? item : [item, item];
        addElement("option", list, text).value = name;
      }
      list.value = chosen ?? "";
    };
    list.fill(options, value);
    list.addEventListener("change", () => onChange(list.value));
    return list;
  }

  // A button with a panel of checkboxes; `items()` returns [{id, text, checked}].
  function menu(parent, text, items, onToggle, { limit, note } = {}) {
    const box = addElement("details", parent, undefined, "menu");
    addElement("summary", box, text);
    const panel = addElement("div", box, undefined, "panel");
    const search = addElement("input", panel);
    search.type = "search";
    search.placeholder = "names with…";
    search.setAttribute("aria-label", `${text}: names with`);
    if (note) addElement("p", panel, note, "note");
    const list = addElement("div", panel, undefined, "options");
    const fill = () => {
      const wanted = search.value.toLowerCase(), all = items();
      const matching = all.filter((item) => item.text.toLowerCase().includes(wanted));
      list.textContent = "";
      for (const item of matching.slice(0, 300)) {
        const label = addElement("label", list), mark = addElement("input", label);
        mark.type = "checkbox";
        mark.checked = item.checked;
        mark.disabled = Boolean(limit) && !item.checked && all.filter((i) => i.checked).length >= limit;
        addElement("span", label, item.text);
        mark.addEventListener("change", () => { onToggle(item.id, mark.checked); if (limit) fill(); });
      }
      if (!matching.length) addElement("p", list, "No such name.", "note");
      else if (matching.length > 300) addElement("p", list, `and ${matching.length - 300} more`, "note");
    };
    box.addEventListener("toggle", () => { if (box.open) { fill(); search.focus(); } });
    search.addEventListener("input", fill);
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && box.open) { box.open = false; box.firstChild.focus(); }
    });
    return box;
  }

  // One menu is open at a time, and a click beside it closes it.
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.menu[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });

  // A text of a state with its color.
  function stateChip(parent, state) {
    return addElement("span", parent, state ?? "unknown", `state ${/^\w+$/.test(state) ? state : ""}`);
  }

  function progressBar(parent, share) {
    const bar = addElement("span", parent, undefined, "progress");
    addElement("span", bar).style.width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
    return bar;
  }

  // A name and a value; what qualifies them ("median of …", "at step …") is small below.
  function fact(parent, name, text) {
    const box = addElement("div", parent), [title, ...details] = name.split(", ");
    const [value, place] = String(text).split(/ (?=at (?:step|epoch) )/);
    addElement("dt", box, title);
    addElement("dd", box, value);
    if (place || details.length) addElement("dd", box, [...details, place].filter(Boolean).join(", "), "detail");
  }

  // Replaces the content of a view by a sentence that says what to do.
  function emptyState(parent, title, text) {
    const box = addElement("div", parent, undefined, "empty");
    addElement("h2", box, title);
    if (text) addElement("p", box, text);
    return box;
  }

  // A message above the views; null removes it.
  function message(text) {
    const box = document.getElementById("message");
    box.hidden = !text;
    if (box.textContent !== (text ?? "")) box.textContent = text ?? "";
  }

  // Copies of what a person chose are kept in the browser, apart by root.
  function remembered(name, value) {
    const key = `jaxmetrics ${document.getElementById("root").title} ${name}`;
    try {
      if (value === undefined) return JSON.parse(localStorage.getItem(key));
      localStorage.setItem(key, JSON.stringify(value));
    } catch { /* no storage: the address still has it */ }
    return null;
  }

  // Calls `call` once `wait` ms after the last of several calls.
  function debounce(call, wait) {
    let timer = null;
    const debounced = (...args) => { clearTimeout(timer); timer = setTimeout(() => call(...args), wait); };
    debounced.cancel = () => clearTimeout(timer);
    return debounced;
  }

  return { button, select, menu, stateChip, progressBar, fact, emptyState, message, remembered, debounce };
})();
