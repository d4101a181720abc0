"use strict";
// Tables sort by a click on a column's head: numbers from the highest, then back; what has no score stays last.
for (const table of document.querySelectorAll(".sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const number = (text) => (/^\.?\d/.test(text) ? Number.parseFloat(text.replaceAll(",", "")) : null);
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    return x !== null && y !== null ? x - y : a.localeCompare(b, "en");
  };
  for (const head of heads.filter((cell) => cell.querySelector(".sort"))) {
    head.querySelector(".sort").addEventListener("click", () => {
      const column = heads.indexOf(head);
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const other = first === "descending" ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      const sign = order === "descending" ? -1 : 1;
      const text = (row) => row.cells[column].textContent.trim();
      const rows = [...body.rows].sort((a, b) => {
        const absent = (text(a) === "–") - (text(b) === "–");
        return absent || sign * compare(text(a), text(b));
      });
      for (const cell of heads) cell.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      body.append(...rows);
    });
  }
}

// Menus choose which published models stand beside: their lines in the radar and their columns in its table.
(() => {
  const form = document.getElementById("compare");
  if (!form) return;
  const models = JSON.parse(document.getElementById("compared").textContent);
  for (const menu of form.querySelectorAll("select")) {
    const { slot } = menu.dataset;
    const cells = [...document.querySelectorAll(`[data-cell="${slot}"]`)];
    const draw = () => {
      const model = models[menu.value];
      document.getElementById(`radar-${slot}`).setAttribute("d", model ? model.path : "");
      document.querySelector(`[data-name="${slot}"]`).textContent = menu.value || "–";
      cells.forEach((cell, at) => { cell.textContent = model ? model.cells[at] : "–"; });
    };
    menu.addEventListener("change", draw);
    draw(); // a browser may have kept a choice over a reload
  }
  form.hidden = false;
})();
