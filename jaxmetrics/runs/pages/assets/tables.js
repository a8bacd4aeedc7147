"use strict";
// Tables that sort by a click on the name of a column.
const tables = (() => {
  const { addElement, valueText } = format;

  // Compares cells: numbers before texts, empty ones last in both directions.
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  }

  // Adds a table { names, rows, ratio_column, jumps }; a row with a jump calls onJump with it.
  function add(parent, content, onJump) {
    const { names, rows, ratio_column: ratio, jumps } = content;
    const table = addElement("table", addElement("div", parent, undefined, "scroll"), undefined, "data");
    const isNumber = names.map((_, i) => {
      const known = rows.map((row) => row[i]).filter((v) => v !== null && !/^[-–]?(nan|inf|infinity)?$/i.test(v));
      return known.length > 0 && known.every((v) => typeof v === "number");
    });
    const head = addElement("tr", addElement("thead", table)), body = addElement("tbody", table);
    let sorted = { column: null, sign: 1 };
    const order = [...rows.keys()];
    const headers = names.map((name, i) => {
      const cell = addElement("th", head, undefined, isNumber[i] && i !== ratio ? "number" : "");
      cell.scope = "col";
      const button = addElement("button", cell, name, "sort");
      button.type = "button";
      button.addEventListener("click", () => sortBy(i));
      return cell;
    });
    const lines = rows.map((row, number) => {
      const line = addElement("tr");
      row.forEach((value, i) => {
        const jump = i === 0 && jumps?.[number];
        if (i === ratio) {
          const cell = addElement("td", line, undefined, "ratio");
          addElement("span", cell, undefined, "bar").style.width = `${9 * value}rem`;
          cell.append(`${(100 * value).toFixed(1)} %`);
          return;
        }
        const cell = addElement("td", line, jump ? undefined : valueText(value), isNumber[i] ? "number" : "");
        if (!jump) return;
        const button = addElement("button", cell, valueText(value), "link");
        button.type = "button";
        button.title = "show on the charts";
      });
      if (jumps?.[number]) {
        line.className = "jump";
        line.addEventListener("click", () => onJump(jumps[number]));
      }
      return line;
    });
    body.append(...lines);

    function sortBy(column) {
      sorted = { column, sign: sorted.column === column ? -sorted.sign : 1 };
      headers.forEach((cell, i) => {
        if (i === column) cell.setAttribute("aria-sort", sorted.sign > 0 ? "ascending" : "descending");
        else cell.removeAttribute("aria-sort");
      });
      order.sort((a, b) => compare(rows[a][column], rows[b][column], sorted.sign) || a - b);
      body.append(...order.map((i) => lines[i]));
    }
    return table;
  }

  return { add };
})();
