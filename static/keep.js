/* Keeps what is typed into a page's forms in this tab, until it is saved: a session that ended, a
   text that was too large or a wrong click on a link loses nothing. Never passwords or keys. */
"use strict";
(() => {
  const own = `keep:${document.currentScript.dataset.user}:`;
  const here = own + location.pathname;
  const store = sessionStorage;
  const read = (key) => JSON.parse(store.getItem(key) || "null");
  const isTyped = (field) => field.name && !field.readOnly && !field.disabled
    && (field.matches("textarea, select:not([multiple])")
      || (field.matches("input") && ["text", "number", "email", "url"].includes(field.type)));
  const isChanged = (field) => field.defaultValue !== undefined && field.value !== field.defaultValue;
  const typed = (form) => [...form.elements].filter(isTyped);
  const valuesOf = (form) => Object.fromEntries(typed(form).map((each) => [each.name, each.value]));

  const forget = (keeps) => Object.keys(store).filter((key) => key.startsWith(own) && keeps(key))
    .forEach((key) => store.removeItem(key));

  const write = (form, isSent) => {
    try {
      store.setItem(here, JSON.stringify({ form: form.id || form.action, isSent, values: valuesOf(form) }));
    } catch {
      // The text is larger than what a tab may keep.
      store.removeItem(here);
    }
  };

  const offer = (form, kept) => {
    const box = document.createElement("div");
    box.className = "caution kept";
    box.setAttribute("role", "status");
    const text = document.createElement("p");
    text.textContent = "What you wrote here was not saved. It is still in this tab.";
    const button = (label, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.className = "button";
      made.textContent = label;
      made.addEventListener("click", () => { act(); box.remove(); });
      return made;
    };
    const putBack = () => {
      for (const field of typed(form)) {
        if (!(field.name in kept.values) || field.value === kept.values[field.name]) continue;
        field.value = kept.values[field.name];
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }
    };
    const drop = () => store.removeItem(here);
    box.append(text, button("Put it back", putBack), " ", button("Forget it", drop));
    form.before(box);
  };

  const start = () => {
    document.getElementById("logout-form")?.addEventListener("submit", () => forget(() => true));
    // It was sent from another page, which led here: so it is saved.
    forget((key) => key !== here && read(key).isSent);
    const forms = [...document.querySelectorAll("#content form[method=post]")]
      .filter((form) => typed(form).length && !form.matches("#changelist-search, .filter-bar, #changelist-form"));
    const kept = read(here);
    const form = kept && forms.find((each) => (each.id || each.action) === kept.form);
    if (form) {
      const now = valuesOf(form);
      const differs = Object.keys(now).some((name) => name in kept.values && now[name] !== kept.values[name]);
      const isSaved = kept.isSent && document.querySelector(".messagelist .success");
      if (!differs || isSaved) store.removeItem(here);
      else offer(form, kept);
    }
    const isNew = performance.getEntriesByType("navigation")[0]?.type === "navigate";
    for (const each of forms) {
      let waits = 0;
      // What was typed while this script was loading.
      if (isNew && !form && typed(each).some(isChanged)) write(each, false);
      each.addEventListener("input", () => {
        clearTimeout(waits);
        waits = setTimeout(write, 300, each, false);
      });
      each.addEventListener("submit", () => { clearTimeout(waits); write(each, true); });
    }
  };
  if (location.pathname.endsWith("/login/")) return;
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
