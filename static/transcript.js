// Renders the Markdown of answers as DOM nodes, never as HTML.
import { markdown } from "./chat.js";

for (const element of document.querySelectorAll("[data-markdown]")) {
  element.replaceChildren(...markdown(element.textContent));
  element.classList.add("drawn");
}
