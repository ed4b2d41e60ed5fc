// The search box of every page: Ctrl+K, Cmd+K or "/" leads to it, and it suggests while one types.
// What is typed is sent by POST alone.
"use strict";
(() => {
  const form = document.getElementById("palette");
  const input = document.getElementById("palette-text");
  const list = document.getElementById("palette-found");
  const status = document.getElementById("palette-status");
  if (!form) return;
  let waits = 0;
  let asked = 0;
  let chosen = -1;

  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-controls", list.id);
  input.setAttribute("aria-expanded", "false");

  // The number found is for screen readers; that nothing is found, for everybody.
  const tell = (text, isShown = false) => {
    status.textContent = text;
    status.classList.toggle("visually-hidden", !isShown);
  };
  const options = () => [...list.children];
  const close = () => {
    clearTimeout(waits);
    asked += 1;
    list.hidden = true;
    list.replaceChildren();
    tell("");
    choose(-1);
    input.setAttribute("aria-expanded", "false");
  };
  const choose = (place) => {
    chosen = place;
    options().forEach((each, at) => each.setAttribute("aria-selected", String(at === place)));
    const option = options()[place];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else {
      input.removeAttribute("aria-activedescendant");
    }
  };
  const option = (each, place) => {
    const made = document.createElement("a");
    made.id = `palette-${place}`;
    made.href = each.href;
    made.tabIndex = -1;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", "false");
    for (const [tag, text] of [["small", each.kind], ["strong", each.name], ["span", each.more]]) {
      const part = document.createElement(tag);
      part.textContent = text;
      made.append(part, " ");
    }
    return made;
  };
  const ask = async () => {
    const mine = asked += 1;
    const body = new FormData(form);
    body.set("as", "json");
    let found = [];
    // Without an answer the form still works: Enter shows the page.
    let problem = "Press Enter to search.";
    try {
      const answer = await fetch(form.action, { method: "POST", body, redirect: "error" });
      if (answer.ok) ({ found, problem } = await answer.json());
    } catch {
      // The session has ended, or nobody answers.
    }
    if (mine !== asked) return;
    list.replaceChildren(...found.map(option));
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    tell(found.length ? `${found.length} found` : problem || "Nothing found", !found.length);
    choose(found.length ? 0 : -1);
  };

  input.addEventListener("input", () => {
    clearTimeout(waits);
    asked += 1;
    if (input.value.trim().length < 2) close();
    else waits = setTimeout(ask, 200);
  });
  input.addEventListener("keydown", (event) => {
    const last = options().length - 1;
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown" && last >= 0) choose(chosen < last ? chosen + 1 : 0);
    else if (event.key === "ArrowUp" && last >= 0) choose(chosen > 0 ? chosen - 1 : last);
    else if (event.key === "Enter" && options()[chosen]) location.assign(options()[chosen].href);
    else return;
    event.preventDefault();
  });
  form.addEventListener("focusout", (event) => {
    if (!form.contains(event.relatedTarget)) close();
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, textarea, select, [contenteditable]");
    const isSlash = event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey;
    const isK = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey;
    if (!isSlash && !isK) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
})();
