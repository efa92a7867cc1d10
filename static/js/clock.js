/* Countdowns by the server's clock: [data-until] holds the deadline in epoch seconds, body[data-now] the server's time
   when the page was made. A wrong browser clock changes nothing. Without it the page shows what the server wrote. */
(() => {
  "use strict";
  const body = document.body;
  let offset = body.dataset.now ? Number(body.dataset.now) - Date.now() : 0;
  document.addEventListener("htmx:afterRequest", (event) => {
    const now = event.detail.xhr?.getResponseHeader("X-Now");
    if (now) offset = Number(now) - Date.now();
  });
  const [s, min, h, d] = (body.dataset.units || "s min h d").split(" ");
  const two = (n) => String(n).padStart(2, "0");
  const left = (n) =>
    n < 60 ? `${n} ${s}` : n < 3600 ? `${Math.floor(n / 60)} ${min}`
    : n < 86400 ? `${Math.floor(n / 3600)} ${h} ${Math.floor(n / 60) % 60} ${min}`
    : `${Math.floor(n / 86400)} ${d} ${Math.floor(n / 3600) % 24} ${h}`;
  const clock = (n) =>
    n < 3600 ? `${Math.floor(n / 60)}:${two(n % 60)}` : `${Math.floor(n / 3600)}:${two(Math.floor(n / 60) % 60)}:${two(n % 60)}`;
  const tick = () => {
    const now = Math.floor((Date.now() + offset) / 1000);
    for (const time of document.querySelectorAll("[data-until]")) {
      const n = Math.max(0, Number(time.dataset.until) - now);
      const text = "clock" in time.dataset ? clock(n) : left(n);
      if (time.textContent !== text) time.textContent = text;
      const urgency = n === 0 ? "over" : n <= 120 ? "now" : n <= 600 ? "soon" : "";
      if (time.dataset.urgency === urgency) continue;
      time.dataset.urgency = urgency;
      const box = time.closest("[data-say-soon]");
      if (!box) continue;
      time.previousElementSibling.dataset.urgency = urgency;
      if (urgency) document.getElementById("status").textContent = box.dataset[`say${urgency[0].toUpperCase()}${urgency.slice(1)}`];
      box.toggleAttribute("data-over", n === 0);
      if (n === 0) document.dispatchEvent(new Event("poll-now"));
    }
  };
  tick();
  setInterval(tick, 1000);
})();
