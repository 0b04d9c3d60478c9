"use strict";
// Folding and evidence work without this script: it adds search, the filter by status, and what printing needs.
(() => {
  const items = [...document.querySelectorAll("details.item")];
  const sections = [...document.querySelectorAll("details.section")];
  const tools = document.getElementById("tools");
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const nothing = document.getElementById("nothing");
  const unfold = document.getElementById("unfold");
  const chips = [...tools.querySelectorAll("button[data-status]")];
  const before = new Map(sections.map((section) => [section, section.open]));
  let texts = null;

  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const statuses = new Set(chips.filter((chip) => chip.ariaPressed === "true").map((chip) => chip.dataset.status));
    const filtering = words.length > 0 || statuses.size > 0;
    if (words.length > 0 && texts === null) texts = items.map((item) => item.textContent.toLowerCase());
    let count = 0;
    const alive = new Set();
    items.forEach((item, number) => {
      const hit =
        (statuses.size === 0 || statuses.has(item.dataset.status)) &&
        words.every((word) => texts[number].includes(word));
      item.hidden = !hit;
      if (hit) {
        count += 1;
        alive.add(item.parentElement);
      }
    });
    for (const section of sections) {
      section.hidden = filtering && !alive.has(section);
      section.open = filtering ? true : before.get(section);
    }
    nothing.hidden = !filtering || count > 0;
    shown.textContent = filtering
      ? tools.dataset.shown.replace("{shown}", count).replace("{total}", items.length)
      : "";
  };

  const showAll = () => {
    search.value = "";
    for (const chip of chips) chip.ariaPressed = "false";
    show();
  };

  const reach = () => {
    let name = "";
    try {
      name = decodeURIComponent(location.hash.slice(1));
    } catch {
      return;
    }
    const target = document.getElementById(name);
    if (!target) return;
    if (target.closest("[hidden]")) showAll();
    for (let element = target; element; element = element.parentElement) {
      if (element.tagName === "DETAILS") element.open = true;
      if (before.has(element)) before.set(element, true);
    }
    target.scrollIntoView({ block: "start" });
    const summary = target.tagName === "DETAILS" ? target.firstElementChild : null;
    if (summary) summary.focus({ preventScroll: true });
  };

  search.addEventListener("input", show);
  tools.addEventListener("submit", (event) => event.preventDefault());
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.ariaPressed = chip.ariaPressed === "true" ? "false" : "true";
      show();
    });
  }
  for (const section of sections) {
    section.firstElementChild.addEventListener("click", () => before.set(section, !section.open));
  }
  unfold.addEventListener("click", () => {
    const open = unfold.textContent === unfold.dataset.open;
    for (const section of sections) {
      section.open = open;
      before.set(section, open);
    }
    for (const item of items) item.open = open;
    unfold.textContent = open ? unfold.dataset.close : unfold.dataset.open;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== search && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && event.target === search) {
      search.value = "";
      show();
    }
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) reach();
  });
  addEventListener("hashchange", reach);

  // On paper there is nothing to click: nothing is filtered out, every section is open, and so is the evidence of what
  // failed.
  let folded = [];
  addEventListener("beforeprint", () => {
    for (const element of [...items, ...sections, nothing]) element.hidden = element === nothing;
    folded = [...document.querySelectorAll("details:not([open])")].filter(
      (element) => !element.matches('[data-status="pass"], [data-status="skip"]'),
    );
    for (const element of folded) element.open = true;
  });
  addEventListener("afterprint", () => {
    for (const element of folded) element.open = false;
    show();
  });

  tools.hidden = false;
  addEventListener("load", () => location.hash && reach());
})();
