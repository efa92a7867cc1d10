/* Live pages: asks the [data-poll] address every 3 s while the reader is here, every 30 s after 5 idle minutes, never
   while hidden, at once on return. Says what changed, keeps focus placed after a swap, and what to do when the network,
   the session or the server fails. Without it pages are as fresh as their last load. */
(() => {
  "use strict";
  const $ = (selector) => document.querySelector(selector);
  const say = (id, text) => ($(id).textContent = text);
  const title = document.title;
  let active = Date.now(), asked = 0, checking = false, offline = false, signedOut = false;

  const chip = (on) => {
    const live = $("#live-chip");
    if (!live || !$("[data-poll]")) return;
    live.hidden = false;
    live.dataset.state = on ? "on" : "off";
    const text = on ? live.dataset.on : live.dataset.off;
    if (live.textContent !== text) live.textContent = text;
    const commit = $(".commit");
    if (commit && !checking) commit.disabled = !on;
    if (!on && commit) unknown(commit.form.dataset.offline);
    else if (on && offline) unknown("");
    offline = !on;
  };
  const unknown = (text) => {
    const box = $("#unknown");
    if (!box) return;
    box.hidden = !text;
    if (box.firstElementChild.textContent !== text) box.firstElementChild.textContent = text;
    if (text) say("#alert", text);
  };
  const ask = () => {
    const el = $("[data-poll]");
    if (!el || document.hidden) return;
    asked = Date.now();
    htmx.trigger(el, "poll");
  };
  setInterval(() => {
    if (!signedOut && Date.now() - asked >= (Date.now() - active < 300000 ? 3000 : 30000)) ask();
  }, 500);
  for (const name of ["pointerdown", "keydown", "scroll"]) document.addEventListener(name, () => (active = Date.now()), { passive: true });
  document.addEventListener("visibilitychange", ask);
  addEventListener("focus", ask);
  // Back shows a page as it was left, with a choice that was made for what stood then: it is read anew.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  addEventListener("online", ask);
  addEventListener("offline", () => chip(false));
  document.addEventListener("poll-now", ask);
  chip(navigator.onLine);
  asked = Date.now();

  const deciding = (event) => event.detail.elt?.id === "decide";
  const check = () => {
    checking = true;
    unknown($("#decide").dataset.unknown);
    $(".commit").disabled = true;
    asked = 0;
    ask();
  };
  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, successful } = event.detail;
    if (deciding(event) || !xhr) return;
    if (xhr.status === 204 && checking) {
      checking = false;
      $(".commit").disabled = false;
      unknown($("#decide").dataset.notRecorded);
    } else if (xhr.status && xhr.status < 500 && successful) {
      chip(true);
      if (signedOut) $("#signed-out")?.close();
      signedOut = false;
    }
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (deciding(event) && navigator.onLine) check();
    else chip(false);
  });
  document.addEventListener("htmx:timeout", (event) => deciding(event) && check());
  document.addEventListener("htmx:responseError", (event) => {
    const { status } = event.detail.xhr;
    if (status === 401) {
      signedOut = true; // asked again when the reader comes back from signing in, not every 3 s
      $("#signed-out")?.showModal();
    } else if (deciding(event)) check();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    // a proxy's error page holds no main: swapping it in would empty the page and lose the text
    if (deciding(event) && !event.detail.xhr.responseText.includes('id="main"')) {
      event.detail.shouldSwap = false;
      check();
    }
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    const news = $("[data-title-count]");
    if (news) document.title = `+${news.dataset.titleCount} ${title}`;
    const said = event.detail.elt.querySelector?.("[data-announce]");
    if (said && event.detail.elt.id !== "main") say("#status", said.textContent);
    if (event.detail.elt.id === "main") ($("[data-focus-first]") || $("[data-focus]"))?.focus();
    else if (document.activeElement === document.body) ($("#rail h2") && !$("#decide") ? $("#main") : null)?.focus({ preventScroll: true });
  });
  document.addEventListener("click", (event) => {
    const menu = $("#account-menu[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
  });
})();
