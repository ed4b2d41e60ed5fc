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

  let kept = text.value;
  text.form.addEventListener("submit", () => { kept = text.value; });
  window.addEventListener("beforeunload", (event) => {
    if (text.value !== kept) event.preventDefault();
  });
}
