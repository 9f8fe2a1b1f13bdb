"use strict";
// Shows one part of the page at a time, sorts and filters the tables, and moves by keys. Everything that it shows is in the page already:
// it makes no HTML of texts, and asks for nothing.
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const find = document.getElementById("find");
  const lists = all("table.list");
  let view = document.getElementById("overview");

  // Views. A fragment names a view, or something in it: "src/store.py", "src/store.py:12", "limits", the digest of a defect.
  // Where scripts run, what a <noscript> holds is text: so a page with thousands of defects opens fast. A view is made of it when it is
  // first shown.
  const waiting = new Map(all("noscript[data-view]").map(each => [each.dataset.view, each]));
  function make(id) {
    const text = waiting.get(id);
    if (!text) return;
    waiting.delete(id);
    text.insertAdjacentHTML("beforebegin", text.textContent);
    text.remove();
  }

  function target() {
    let id = location.hash.slice(1);
    try { id = decodeURIComponent(id); } catch { /* taken as it is */ }
    const [, file, line] = /^(.*):(\d+)$/.exec(id) || [];
    make(id);
    make(file);
    const found = document.getElementById(id);
    if (found) return found;
    const source = file && document.getElementById(file);
    return (source && source.querySelectorAll(".source li")[line - 1]) || source || view;
  }

  function show(focus = true) {
    const found = target();
    const next = found.closest(".view") || (found.contains(view) ? view : document.getElementById("overview"));
    const changed = next !== view;
    view.classList.remove("open");
    next.classList.add("open");
    view = next;
    all(".here").forEach(each => each.classList.remove("here"));
    const heading = view.querySelector("h1");
    document.title = "maskcheck: " + heading.textContent;
    document.body.classList.toggle("reading", view.matches(".file"));
    if (found.matches("details, .limits")) all("details", found).slice(0, 1).forEach(each => { each.open = true; });
    if (found.matches("li")) {
      found.classList.add("here");
      found.tabIndex = -1;
      found.focus({preventScroll: true});
      found.scrollIntoView({block: "center"});
    } else if (found === view) {
      if (changed && focus) heading.focus({preventScroll: true});
      scrollTo(0, 0);
    } else {
      found.scrollIntoView();
    }
  }
  addEventListener("hashchange", () => show());
  function go(fragment, focus = true) {
    history.pushState(null, "", fragment);  // at once, and without taking the focus, as a change of location.hash would
    show(focus);
  }

  // Sorting: by the key of a cell, else by its text. Equal rows keep their order.
  const numbers = new Intl.Collator("en", {numeric: true});
  function key(row, column, asNumber) {
    const cell = row.cells[column];
    const text = cell.dataset.key ?? cell.textContent.trim();
    return asNumber ? Number(text) : text;
  }
  for (const table of lists) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      const asNumber = head.dataset.sort === "number";
      all("tbody td", table).forEach(cell => { if (cell.cellIndex === column && column) cell.dataset.label = button.textContent; });
      button.addEventListener("click", () => {
        // Numbers begin with the greatest, which is what one looks for; their position is not such a number.
        const first = asNumber && column ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = head.getAttribute("aria-sort") === first ? other : first;
        heads.forEach(each => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        const body = table.tBodies[0];
        const rows = [...body.rows].map(row => [key(row, column, asNumber), row]);
        rows.sort(([a], [b]) => sign * (asNumber ? a - b : numbers.compare(a, b)));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  // Search: the rows that have all of the words.
  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const counts = lists.map(table => {
      const rows = [...table.tBodies[0].rows];
      let shown = 0;
      for (const row of rows) {
        row.text ??= (row.textContent + " " + (row.dataset.find || "")).toLowerCase();
        row.hidden = !words.every(word => row.text.includes(word));
        shown += !row.hidden;
      }
      return `${shown} of ${rows.length} ${table.dataset.list}`;
    });
    document.getElementById("found").textContent = words.length ? counts.join(", ") + " found" : "";
  }
  find.addEventListener("input", () => {
    if (view.id !== "overview") go("#overview", false);
    filter();
  });

  // Keys, unless something is being typed.
  function stops() {
    if (view.id === "overview") return all(".list tbody tr:not([hidden]) th a");
    return view.matches(".story") ? [] : all("li.defect, li.known, li.listed, li.unaudited, li.partly", view);
  }
  function move(step) {
    if (view.matches(".story")) {
      const links = all("[data-list=defects] tbody tr:not([hidden]) th a");
      const next = links[links.findIndex(link => link.hash === "#" + view.id) + step];
      if (next) go(next.hash);
      return;
    }
    const places = stops();
    const at = places.findIndex(place => place === document.activeElement || place.classList.contains("here"));
    const next = places[at < 0 ? (step > 0 ? 0 : places.length - 1) : at + step];
    if (!next) return;
    if (next.id) go("#" + next.id);
    else { next.focus(); next.scrollIntoView({block: "nearest"}); }
  }
  const keys = {"/": () => { find.focus(); find.select(); }, j: () => move(1), k: () => move(-1), o: () => go("#overview")};
  addEventListener("keydown", event => {
    if (event.target === find) {
      if (event.key === "Escape") { find.value = ""; filter(); find.blur(); }
      if (event.key === "Enter") move(1);
    } else if (!(event.ctrlKey || event.metaKey || event.altKey) && Object.hasOwn(keys, event.key)) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  if (location.hash) show();
})();
