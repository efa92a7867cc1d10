/* What is typed into a decision stays in this tab's sessionStorage, by user, request and what was shown, until it is
   decided or the user signs out. What was typed for something else is never put into the form: it stands in a box to
   copy. Only the reason and the note; never a verdict, never a parameter. Without it nothing is kept. */
(() => {
  "use strict";
  const FIELDS = ["rationale", "note"];
  const keys = () => Object.keys(sessionStorage).filter((key) => key.startsWith("draft:"));
  const read = (key) => JSON.parse(sessionStorage.getItem(key) || "{}");
  const settle = () => {
    const user = document.body.dataset.user;
    for (const key of keys()) if (user && key.split(":")[1] !== user) sessionStorage.removeItem(key);
    for (const el of document.querySelectorAll("[data-forget]"))
      for (const key of keys()) if (key.startsWith(el.dataset.forget)) sessionStorage.removeItem(key);
    const form = document.querySelector("[data-draft]");
    if (form) {
      const kept = read(form.dataset.draft);
      for (const name of FIELDS) if (!form.elements[name].value && kept[name]) form.elements[name].value = kept[name];
    }
    const box = document.querySelector("[data-kept]");
    const others = box && box.hidden ? keys().filter((key) => key.startsWith(box.dataset.kept) && key !== form?.dataset.draft) : [];
    const text = others.flatMap((key) => FIELDS.map((name) => read(key)[name])).filter(Boolean).join("\n\n");
    if (text) {
      box.querySelector("textarea").value = text;
      box.hidden = false;
    }
  };
  document.addEventListener("input", (event) => {
    const form = event.target.closest("[data-draft]");
    if (!form || !FIELDS.includes(event.target.name)) return;
    const kept = Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value]));
    if (FIELDS.some((name) => kept[name])) sessionStorage.setItem(form.dataset.draft, JSON.stringify(kept));
    else sessionStorage.removeItem(form.dataset.draft);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id === "sign-out") keys().forEach((key) => sessionStorage.removeItem(key));
  });
  document.addEventListener("htmx:afterSettle", settle);
  settle();
})();
