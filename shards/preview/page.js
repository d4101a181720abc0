"use strict";
// A play button in place of controls that would cover the picture. Without this script the controls stay.
for (const video of document.querySelectorAll("video")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "play";
  button.textContent = "\u25B6\uFE0E";
  button.setAttribute("aria-label", `Play ${video.getAttribute("aria-label")}`);
  button.addEventListener("click", () => {
    button.remove();
    video.controls = true;
    video.focus();
    video.play();
  });
  video.controls = false;
  video.after(button);
}

// Search over the texts of the page. Texts become text nodes only, never markup.
(() => {
  const PAGE = 50; // results drawn at a time
  const SIDES = ["query", "target"]; // always shown; captions only where a word is found in them
  const { texts, labels, rows } = JSON.parse(document.getElementById("texts").textContent);
  const words = document.getElementById("words");
  const task = document.getElementById("task");
  const results = document.getElementById("results");
  const found = document.getElementById("found");
  const more = document.getElementById("more");
  // Words in lower case, each behind a space: " red" finds "red" and "reddish", not "predominant".
  const spaced = (text) => ` ${text.toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, " ")}`;
  const spacedTexts = texts.map(spaced);
  const haystacks = rows.map(([id, , , , parts]) => spaced(id) + parts.map(([, text]) => spacedTexts[text]).join(""));
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
    const shown = parts.filter(([label, text]) => SIDES.includes(labels[label]) || texts[text].search(pattern) >= 0);
    for (const [label, text] of shown) {
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
    const wanted = spaced(words.value).split(" ").filter(Boolean);
    results.replaceChildren();
    if (!wanted.length && !task.value) {
      matches = [];
      found.textContent = found.dataset.ready;
      more.hidden = true;
      return;
    }
    pattern = wanted.length ? new RegExp(`(?<![\\p{L}\\p{M}\\p{N}])(${wanted.join("|")})`, "giu") : /(?!)/;
    matches = rows.filter(
      (row, at) => (!task.value || row[1] === task.value) && wanted.every((word) => haystacks[at].includes(` ${word}`)),
    );
    found.textContent = `${matches.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} pairs match.`;
    drawMore();
  };

  words.addEventListener("input", search);
  task.addEventListener("change", search);
  words.form.hidden = false;
  search();
  words.form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", drawMore);
})();
