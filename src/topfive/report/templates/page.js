"use strict";

/* Sorting: by what a cell holds in data-value, or else by its text; empty cells stay last. */
function value(body, column) {
  const cell = body.rows[0].cells[column];
  const text = (cell.dataset.value ?? cell.textContent).trim();
  const number = Number(text.replace(/[,%]/g, "").replace("\u2212", "-"));
  return text === "" ? null : Number.isNaN(number) ? text : number;
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", { numeric: true });
}

function sort(table, column, direction) {
  const keyed = table.given.map((body) => [value(body, column), body]);
  const full = keyed.filter(([key]) => key !== null);
  const empty = keyed.filter(([key]) => key === null);
  if (direction) full.sort(([one], [other]) => direction * compare(one, other));
  const ordered = direction ? [...full, ...empty].map(([, body]) => body) : table.given;
  table.append(...ordered);
}

const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
const DIRECTION = { none: 0, ascending: 1, descending: -1 };

function sortable(table) {
  table.given = [...table.tBodies];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    head.dataset.name = head.textContent;
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const next = NEXT[head.getAttribute("aria-sort")];
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", next);
      sort(table, column, DIRECTION[next]);
    });
  });
}

/* What is known of a row opens below it. */
function openable(body, number) {
  const more = body.querySelector(".more");
  const head = body.rows[0].querySelector("th");
  const toggle = document.createElement("button");
  more.id = `more-${number}`;
  toggle.type = "button";
  toggle.className = "toggle";
  toggle.setAttribute("aria-expanded", "false");
  toggle.setAttribute("aria-controls", more.id);
  toggle.setAttribute("aria-label", `more about ${head.textContent.trim()}`);
  toggle.addEventListener("click", () => {
    toggle.setAttribute("aria-expanded", String(body.classList.toggle("open")));
  });
  head.prepend(toggle);
}

function filterable(form) {
  const bodies = [...document.querySelectorAll(".lines tbody")];
  const narrow = () => {
    const verdict = form.elements.verdict.value;
    const network = form.elements.network.value;
    bodies.forEach((body) => {
      const other = network && body.dataset.network !== network;
      body.hidden = other || (verdict && body.dataset.verdict !== verdict);
    });
    const shown = bodies.filter((body) => !body.hidden).length;
    form.querySelector("output").textContent = shown < bodies.length ? `${shown} of ${bodies.length}` : "";
  };
  form.addEventListener("change", narrow);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  narrow();
}

/* Where the page may not use the clipboard, the command is selected instead. */
function copyable(button) {
  const code = button.previousElementSibling;
  button.hidden = false;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  });
}

document.documentElement.classList.add("js");
document.querySelectorAll(".more").forEach((more, number) => openable(more.parentElement, number));
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".filters").forEach(filterable);
document.querySelectorAll(".copy").forEach(copyable);
