/* Line numbers beside the YAML editor; without this script it is a plain text field. */
"use strict";
for (const box of document.querySelectorAll(".yaml-editor")) {
  const text = box.querySelector("textarea");
  const wrong = new Set((box.dataset.lines || "").split(" ").filter(Boolean).map(Number));
  const gutter = document.createElement("ol");
  gutter.className = "gutter";
  gutter.setAttribute("aria-hidden", "true");
  box.prepend(gutter);
  text.wrap = "off";
  text.spellcheck = false;

  const number = () => {
    const lines = text.value.split("\n").length;
    while (gutter.childElementCount > lines) gutter.lastElementChild.remove();
    while (gutter.childElementCount < lines) {
      const line = document.createElement("li");
      line.textContent = gutter.childElementCount + 1;
      if (wrong.has(gutter.childElementCount + 1)) line.className = "wrong";
      gutter.append(line);
    }
    gutter.scrollTop = text.scrollTop;
  };
  text.addEventListener("input", number);
  text.addEventListener("scroll", () => { gutter.scrollTop = text.scrollTop; });
  number();

  for (const link of document.querySelectorAll("a[data-line]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const before = text.value.split("\n").slice(0, Number(link.dataset.line) - 1);
      const start = before.reduce((sum, line) => sum + line.length + 1, 0);
      const end = text.value.indexOf("\n", start);
      text.focus();
      text.setSelectionRange(start, end < 0 ? text.value.length : end);
    });
  }

  const form = text.form;
  const shown = form.elements.shown;
  const typed = () => JSON.stringify(
    [...new FormData(form)].filter(([name]) => name !== "seen" && name !== "shown"));
  // What was typed while this script was loading is not kept yet. A page that was gone back to shows
  // what stood there before, which nobody has typed into it.
  const wasTyped = performance.getEntriesByType("navigation")[0]?.type === "navigate"
    && [...form.elements].some((field) => (field.type === "checkbox"
      ? field.checked !== field.defaultChecked : field.type !== "hidden"
        && field.defaultValue !== undefined && field.value !== field.defaultValue));
  let kept = wasTyped ? "" : typed();
  const status = document.querySelector("[data-saved]");
  let waits = 0;
  let saving = null;

  const save = async () => {
    const sent = typed();
    const body = new FormData(form);
    body.set("autosave", "1");
    let answer;
    try {
      answer = await fetch(location.pathname, { method: "POST", body, redirect: "manual" });
    } catch {
      status.textContent = "Not saved: the server does not answer. Your text stays in this tab.";
      return;
    }
    if (answer.status === 200) {
      const saved = await answer.json();
      form.elements.seen.value = saved.seen;
      kept = sent;
      // What was typed into the form stands in the YAML now, unless somebody writes on.
      if (typed() === sent && shown && saved.shown) {
        shown.value = JSON.stringify(saved.shown);
        if (text.value !== saved.text) {
          text.value = saved.text;
          number();
          kept = typed();
        }
      }
      status.textContent = `Draft saved at ${new Date().toLocaleTimeString()}; nothing is published.`;
    } else if (answer.status === 409 || answer.status === 400) {
      status.textContent = `Not saved: ${(await answer.json()).detail}`;
    } else if (answer.status === 413) {
      status.textContent = "Not saved: the text is too large.";
    } else {
      status.textContent = "Not saved: your session has ended. Your text stays in this tab: save it, "
        + "log in, and put it back.";
    }
  };
  const saveSoon = () => {
    clearTimeout(waits);
    waits = setTimeout(() => {
      if (typed() === kept) return;
      saving = (saving || Promise.resolve()).then(save).finally(() => { saving = null; });
    }, 2000);
  };
  if (status) {
    form.addEventListener("input", saveSoon);
    if (wasTyped) saveSoon();
  }
  form.addEventListener("submit", (event) => {
    clearTimeout(waits);
    kept = typed();
    if (!saving) return;
    // What is being saved changes what this form has to name as the draft that it replaces.
    event.preventDefault();
    saving.finally(() => form.requestSubmit(event.submitter));
  });
  window.addEventListener("beforeunload", (event) => {
    if (typed() !== kept) event.preventDefault();
  });
}
