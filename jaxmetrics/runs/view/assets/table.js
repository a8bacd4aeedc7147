"use strict";
// A sortable table that builds only the rows that can be seen.
const table = (() => {
  const { addElement } = format;
  const ROW = 30, SPARE = 12;

  // Descending `sort` begins with "-". Missing values are last in both directions.
  function compare(a, b, sign) {
    const missing = (v) => v === null || v === undefined || Number.isNaN(v);
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  }

  // Rows that a column calls `last` come after all others in both directions.
  function sorted(rows, columns, sort) {
    const id = sort?.replace(/^-/, ""), column = columns.find((c) => c.id === id);
    if (!column) return rows;
    const sign = sort.startsWith("-") ? -1 : 1;
    const late = (row) => Number(Boolean(column.last?.(row)));
    return [...rows].sort((a, b) => late(a) - late(b) || compare(column.value(a), column.value(b), sign));
  }

  // columns: [{ id, title, hint, width (rem), number, value(row), cell(row, td) }]
  // rows: objects with `id`; a row is built again only when its object is another one.
  function create(parent, { onSort, label, rowClass }) {
    const scroller = addElement("div", parent, undefined, "rows");
    scroller.tabIndex = 0;
    scroller.setAttribute("role", "region");
    scroller.setAttribute("aria-label", label);
    const grid = addElement("table", scroller, undefined, "grid");
    const widths = addElement("colgroup", grid);
    const head = addElement("tr", addElement("thead", grid));
    const body = addElement("tbody", grid);
    const above = addElement("tr", null, undefined, "space"), below = addElement("tr", null, undefined, "space");
    above.setAttribute("aria-hidden", "true");
    below.setAttribute("aria-hidden", "true");
    let content = { columns: [], rows: [], sort: "" }, built = new Map(), headKey = "";

    function fillHead() {
      const { columns } = content;
      const key = JSON.stringify(columns.map((c) => [c.id, c.title, c.width]));
      if (key === headKey) { markSorted(); return; }
      const focused = document.activeElement?.dataset?.column;
      headKey = key;
      built = new Map();
      body.textContent = widths.textContent = head.textContent = "";
      grid.style.width = `${columns.reduce((sum, c) => sum + c.width, 0)}rem`;
      columns.forEach((column, i) => {
        addElement("col", widths).style.width = `${column.width}rem`;
        const cell = addElement("th", head, undefined, cellClass(column, i));
        cell.scope = "col";
        if (!column.value) { addElement("span", cell, column.title, "hidden-text"); return; }
        const name = ui.button(cell, column.title, () => {
          const { sort } = content, isSorted = sort?.replace(/^-/, "") === column.id;
          const next = !isSorted ? (column.bestHigh ? `-${column.id}` : column.id)
            : sort.startsWith("-") ? column.id : `-${column.id}`;
          onSort(next);
        }, { title: column.hint ?? column.title });
        name.dataset.column = column.id;
        if (focused === column.id) name.focus({ preventScroll: true });
      });
      markSorted();
    }

    function markSorted() {
      const { columns, sort } = content;
      columns.forEach((column, i) => {
        if (sort?.replace(/^-/, "") === column.id) head.children[i].setAttribute("aria-sort", sort.startsWith("-") ? "descending" : "ascending");
        else head.children[i].removeAttribute("aria-sort");
      });
    }

    function cellClass(column, i) {
      return [column.number && "number", i <= content.pinned && "pinned", column.className].filter(Boolean).join(" ");
    }

    function rowElement(row) {
      const old = built.get(row.id);
      if (old && old.row === row) return old.element;
      const element = addElement("tr", null, undefined, rowClass?.(row) ?? "");
      element.dataset.row = row.id;
      content.columns.forEach((column, i) => column.cell(row, addElement("td", element, undefined, cellClass(column, i))));
      const held = old?.element.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
      if (old?.element.parentNode) old.element.replaceWith(element);
      if (held) [...element.querySelectorAll("[data-focus]")].find((e) => e.dataset.focus === held)?.focus({ preventScroll: true });
      built.set(row.id, { row, element });
      return element;
    }

    function fillBody() {
      const { rows, columns } = content;
      const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - SPARE);
      const count = Math.ceil((scroller.clientHeight || 600) / ROW) + 2 * SPARE;
      const seen = rows.slice(first, first + count);
      above.style.height = `${first * ROW}px`;
      below.style.height = `${Math.max(0, rows.length - first - seen.length) * ROW}px`;
      const elements = [above, ...seen.map(rowElement), below];
      for (const [id, { element }] of built) if (!elements.includes(element)) { element.remove(); built.delete(id); }
      elements.forEach((element, i) => {
        if (body.children[i] !== element) body.insertBefore(element, body.children[i] ?? null);
      });
      grid.setAttribute("aria-rowcount", String(rows.length + 1));
      for (const space of [above, below]) {
        if (!space.firstChild) addElement("td", space);
        space.firstChild.colSpan = columns.length;
      }
    }

    let frame = null;
    scroller.addEventListener("scroll", () => {
      frame ??= requestAnimationFrame(() => { frame = null; fillBody(); });
    });
    const observer = new ResizeObserver(() => fillBody());
    observer.observe(scroller);

    return {
      element: scroller,
      show(next) { content = { pinned: 0, ...next }; fillHead(); fillBody(); },
      destroy() { observer.disconnect(); cancelAnimationFrame(frame); },
    };
  }

  return { create, sorted, compare };
})();
