"use strict";
// Search over the texts of the page. Texts become text nodes only, never markup.
(() => {
  const PAGE = 50; // results drawn at a time
  const { texts, labels, rows } = JSON.parse(document.getElementById("texts").textContent);
  const words = document.getElementById("words");
  const task = document.getElementById("task");
  const results = document.getElementById("results");
  const found = document.getElementById("found");
  const more = document.getElementById("more");
  const ready = found.textContent;
  const lowered = texts.map((text) => text.toLowerCase());
  const haystacks = rows.map(([id, , , , parts]) => [id, ...parts.map(([, text]) => lowered[text])].join("\n"));
  let matches = [];
  let pattern = null;

  const element = (name, content, className) => {
    const made = document.createElement(name);
    made.textContent = content;
    if (className) made.className = className;
    return made;
  };

  // The pieces of a text between the words searched for, and those words marked.
  const marked = (text) => {
    const pieces = text.split(pattern);
    return pieces.map((piece, at) => (at % 2 ? element("mark", piece) : document.createTextNode(piece)));
  };

  const drawRow = ([id, rowTask, split, place, parts]) => {
    const item = document.createElement("li");
    const what = element("p", `${rowTask} · ${split} · ${place} · `, "what");
    const code = element("code", id);
    if (document.getElementById(`pair-${id}`)) {
      const link = document.createElement("a");
      link.href = `#pair-${id}`;
      link.append(code);
      what.append(link);
    } else {
      what.append(code);
    }
    item.append(what);
    for (const [label, text] of parts) {
      const line = document.createElement("p");
      line.append(element("small", labels[label]), ...marked(texts[text]));
      item.append(line);
    }
    return item;
  };

  const drawMore = () => {
    const drawn = results.childElementCount;
    results.append(...matches.slice(drawn, drawn + PAGE).map(drawRow));
    more.hidden = results.childElementCount >= matches.length;
  };

  const search = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    results.replaceChildren();
    if (!wanted.length && !task.value) {
      matches = [];
      found.textContent = ready;
      more.hidden = true;
      return;
    }
    const escaped = wanted.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    pattern = wanted.length ? new RegExp(`(${escaped.join("|")})`, "giu") : /(?!)/;
    matches = rows.filter(
      (row, at) => (!task.value || row[1] === task.value) && wanted.every((word) => haystacks[at].includes(word)),
    );
    found.textContent = `${matches.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} pairs match.`;
    drawMore();
  };

  words.addEventListener("input", search);
  task.addEventListener("change", search);
  words.form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", drawMore);
})();
