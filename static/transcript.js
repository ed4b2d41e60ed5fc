// Shows answers as people read them: their Markdown becomes DOM nodes, never HTML.
import { markdown } from "./chat.js";

for (const element of document.querySelectorAll("[data-markdown]")) {
  element.replaceChildren(...markdown(element.textContent));
  element.classList.add("drawn");
}
