/* Single keys, bound from the table that `?` shows ([data-key] rows of _components/keys.html) and read by position, so
   that Caps Lock and other layouts work. A key never decides: a and d arm a choice and move to the reason; only Ctrl or
   ⌘ with Enter, or a click, commits. A key that is held down does nothing more, and types nothing into the reason. */
(() => {
  "use strict";
  const $ = (selector) => document.querySelector(selector);
  const form = () => $("#decide");
  const rows = () => [...document.querySelectorAll(".row-link")];
  const move = (step) => {
    const all = rows();
    const at = all.indexOf(document.activeElement);
    const to = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))];
    to?.focus();
    to?.closest(".row").scrollIntoView({ block: "nearest" });
  };
  const QUIET = 400; // ms after arming in which the arming key and repeats type nothing
  let armed = "", at = -QUIET;
  const arm = (radio) => {
    radio.checked = true;
    if (radio.form.offsetParent) radio.form.elements.rationale.focus();
    $("#status").textContent = $(".commit").innerText;
  };
  const does = {
    next: () => move(1),
    previous: () => move(-1),
    raw: () => $('[name="view"]:not(:checked)')?.click(),
    disarm: () => {
      [armed, at] = ["", -QUIET];
      document.querySelectorAll('[name="verdict"]').forEach((radio) => (radio.checked = false));
      document.activeElement.blur();
      $("#main").focus();
    },
    commit: () => {
      const { verdict } = form()?.elements ?? {};
      if (verdict?.value) form().requestSubmit($(".commit"));
    },
    hit: (key) => {
      const target = [...document.querySelectorAll(`[data-hit="${CSS.escape(key)}"]`)].find((el) => !el.disabled);
      if (!target) return false;
      if (target.type === "radio") arm(target);
      else if (target.matches("input")) target.focus();
      else target.click();
    },
  };
  document.addEventListener("keydown", (event) => {
    const early = event.timeStamp - at < QUIET;
    if ((event.code === armed && (event.repeat || early)) || (early && event.repeat)) return event.preventDefault();
    if (event.code !== armed) armed = ""; // another key: somebody is typing
    const commit = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    const letter = /^Key[A-Z]$/.test(event.code) ? event.code.slice(3).toLowerCase() : event.key;
    const key = commit ? "Ctrl+Enter" : letter;
    if (!commit && (event.ctrlKey || event.metaKey || event.altKey)) return;
    const typing = event.target.closest('textarea, select, input:not([type="radio"])');
    if (typing && !commit && key !== "Escape") return;
    if (event.isComposing || $("dialog[open]") || (key === "Escape" && $(".pop:popover-open"))) return;
    const row = $(`[data-key="${CSS.escape(key)}"]`);
    if (!row || (event.repeat && !["next", "previous"].includes(row.dataset.do))) return;
    if (does[row.dataset.do](key) === false) return;
    event.preventDefault();
    if ("ad".includes(key)) [armed, at] = [event.code, event.timeStamp];
  });
  document.addEventListener("change", (event) => {
    if (event.target.name === "verdict") $("#status").textContent = $(".commit").innerText;
  });
})();
