/* Sends each form once: a second click while the answer is on its way sends nothing. The server acts
   on a form once as well; this keeps the page on the first answer, which may show a key. */
"use strict";
(() => {
  // A download leaves its page as it is, and may be asked for again after a while.
  const WAIT = 5000;
  const sent = new Map();
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || (form.getAttribute("method") || "").toLowerCase() !== "post") return;
    const now = performance.now();
    if (now - (sent.get(form) ?? -WAIT) < WAIT) event.preventDefault();
    else sent.set(form, now);
  });
  // The page was gone back to.
  window.addEventListener("pageshow", (event) => { if (event.persisted) sent.clear(); });
})();
