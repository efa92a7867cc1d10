/* Copy buttons: a field's text, a given text, or the exact bytes behind an address. Hidden without JavaScript,
   where the address itself is a link. */
(() => {
  "use strict";
  const show = (root) => root.querySelectorAll("[data-copy],[data-copy-url],[data-copy-text]").forEach((b) => (b.hidden = !navigator.clipboard));
  show(document);
  document.addEventListener("htmx:afterSettle", () => show(document));
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy],[data-copy-url],[data-copy-text]");
    if (!button) return;
    const { copy, copyUrl, copyText, done } = button.dataset;
    const text = copyText || (copy ? document.querySelector(copy).value : await (await fetch(copyUrl)).text());
    await navigator.clipboard.writeText(text);
    document.getElementById("status").textContent = done;
    const label = button.lastChild;
    const before = label.textContent;
    label.textContent = done;
    setTimeout(() => (label.textContent = before), 2000);
  });
})();
