// Renders the Markdown of answers as DOM nodes, never as HTML. The words of a search stay marked.
import { markdown } from "./chat.js";

const START = "\u0002", STOP = "\u0003";

function markWords(element) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  for (const text of texts) {
    // Every second part stood between the two signs.
    const parts = text.data.split(/\u0002([^\u0003]*)\u0003/);
    if (parts.length === 1) continue;
    text.replaceWith(...parts.map((part, index) => (index % 2 ? Object.assign(document.createElement("mark"), { textContent: part }) : part)));
  }
  for (const link of element.querySelectorAll("a[href]")) link.href = link.href.replace(/%0[23]/g, "");
}

for (const element of document.querySelectorAll("[data-markdown]")) {
  const marked = [...element.querySelectorAll("mark")];
  for (const mark of marked) mark.replaceWith(START + mark.textContent + STOP);
  element.replaceChildren(...markdown(element.textContent));
  if (marked.length) markWords(element);
  element.classList.add("drawn");
}
