// What htmx leaves to us. No page needs it to be read.
(() => {
  "use strict";
  const offline = document.getElementById("offline");
  const notice = document.getElementById("notice");

  // A page that nobody looks at asks for nothing; looked at again, it asks at once.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.target.matches("[data-live]")) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.querySelectorAll("[data-live]").forEach((part) => htmx.trigger(part, "look"));
  });

  // An error stays until something else is done by hand.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!event.target.matches("[data-live]")) notice.replaceChildren();
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, () => { offline.hidden = false; });
  }
  document.addEventListener("htmx:afterOnLoad", () => { offline.hidden = true; });

  // Dialogs: opened by name, closed by a button, by Escape, and by sending their form.
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens).showModal();
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.target.closest("form[data-closes]");
    if (form) { form.closest("dialog").close(); form.reset(); }
    if (event.detail.successful && event.target.matches("form[data-resets]")) event.target.reset();
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("select[data-submit]")) event.target.form.requestSubmit();
  });
})();
