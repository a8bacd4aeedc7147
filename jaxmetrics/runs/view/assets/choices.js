"use strict";
// What a person chose of the runs: stars, colors, shown and hidden. It is kept in the
// address, and in the browser where the address says nothing.
const choices = (() => {
  const SHOWN_AT_FIRST = 30;

  // Lists of names within one value of the address.
  function join(names) { return [...names].map(encodeURIComponent).join(","); }
  function split(text) {
    const decode = (part) => { try { return decodeURIComponent(part); } catch { return part; } };
    return (text ?? "").split(",").filter(Boolean).map(decode);
  }

  function read(state) {
    const list = (name) => (name in state ? split(state[name]) : ui.remembered(name) ?? []);
    const colors = list("colors").map((text) => {
      const at = text.lastIndexOf(":");
      return [text.slice(0, at), Number(text.slice(at + 1))];
    });
    return {
      star: new Set(list("star")),
      show: new Map([...list("show").map((id) => [id, true]), ...list("hide").map((id) => [id, false])]),
      colors: new Map(colors.filter(([, color]) => Number.isInteger(color) && color >= 0 && color < 64)),
    };
  }

  function write(chosen) {
    const lists = {
      star: [...chosen.star],
      show: [...chosen.show].filter(([, shown]) => shown).map(([id]) => id),
      hide: [...chosen.show].filter(([, shown]) => !shown).map(([id]) => id),
      colors: [...chosen.colors].map(([id, color]) => `${id}:${color}`),
    };
    for (const [name, list] of Object.entries(lists)) ui.remembered(name, list);
    router.update(Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, join(list) || null])));
  }

  // Ids of the runs that charts show: chosen ones, and the first ones of the table.
  function shownIds(order, chosen) {
    const shown = new Set();
    let count = 0;
    for (const row of order) {
      const choice = chosen.show.get(row.id);
      if (choice ?? count < SHOWN_AT_FIRST) shown.add(row.id);
      if (choice === undefined) count++;
    }
    return shown;
  }

  return { join, split, read, write, shownIds, SHOWN_AT_FIRST };
})();
