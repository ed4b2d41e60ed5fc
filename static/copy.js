// Copies the element that a button names: <button data-copy="id">.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const status = document.querySelector("[data-copied]");
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      status.textContent = "Copied.";
    } catch {
      // Without HTTPS a page has no clipboard: select the text, so that Ctrl+C copies it.
      if (source.select) source.select();
      else getSelection().selectAllChildren(source);
      status.textContent = "Press Ctrl+C to copy.";
    }
  });
}
