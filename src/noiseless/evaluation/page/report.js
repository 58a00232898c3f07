"use strict";

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// Before / after: two pictures over each other, the right one cut at the slider; the crops beside it follow a click.
for (const scene of document.querySelectorAll(".scene")) {
  const stage = scene.querySelector(".stage");
  const slider = scene.querySelector("input");
  const size = (name) => Number(scene.style.getPropertyValue(name));
  const [width, height, side] = ["--w", "--h", "--c"].map(size);

  const cut = () => scene.style.setProperty("--at", `${slider.value}%`);
  slider.addEventListener("input", cut);

  const look = (x, y) => {
    x = Math.round(clamp(x, 0, width - side));
    y = Math.round(clamp(y, 0, height - side));
    const share = (place, whole) => `${whole > side ? (100 * place) / (whole - side) : 0}%`;
    const places = { "--x": x, "--y": y, "--px": share(x, width), "--py": share(y, height) };
    for (const [name, value] of Object.entries(places)) scene.style.setProperty(name, value);
  };

  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, dragged: false };
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    from.dragged ||= Math.abs(event.clientX - from.x) > 4;
    if (!from.dragged) return;
    slider.value = 100 * at(event)[0];
    cut();
  });
  stage.addEventListener("pointerup", (event) => {
    const [x, y] = at(event);
    if (from && !from.dragged) look(x * width - side / 2, y * height - side / 2);
    from = null;
  });
  stage.addEventListener("pointercancel", () => { from = null; });
  stage.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    look(size("--x") + (step[0] * side) / 4, size("--y") + (step[1] * side) / 4);
  });

  for (const select of scene.querySelectorAll("select")) {
    const layer = stage.querySelector(`.${select.dataset.side}`);
    select.addEventListener("change", () => {
      layer.className = `${select.dataset.side} ${select.value}`;
      layer.setAttribute("aria-label", select.selectedOptions[0].text);
    });
  }
}

// Tables sort by a column when its head is pressed: numbers from the highest, names from A, then the other way round.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const numbers = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numbers;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const compare = numbers
        ? (a, b) => (key(a) === "" ? -Infinity : Number(key(a))) - (key(b) === "" ? -Infinity : Number(key(b)))
        : (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
      const rows = [...table.tBodies[0].rows].sort((a, b) => compare(a, b) * (down ? -1 : 1));
      table.tBodies[0].append(...rows);
    });
  });
}

// One metric of every image at a time.
const choice = document.getElementById("metric");
choice?.addEventListener("change", () => {
  for (const table of document.querySelectorAll("table[data-metric]")) table.hidden = table.dataset.metric !== choice.value;
});
