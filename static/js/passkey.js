/* A passkey's ceremony: hands the server's options ([data-options] names their element) to the browser, and posts what
   the passkey answers. Without it there is the authenticator app. */
(() => {
  "use strict";
  const form = document.querySelector("[data-passkey]");
  if (!form) return;
  const text = document.getElementById(form.dataset.options).textContent;
  const ask = (making, { publicKey }) =>
    making
      ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) })
      : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const failed = form.querySelector("[data-failed]");
    failed.hidden = true;
    try {
      const options = JSON.parse(text);
      const made = await ask(form.dataset.passkey === "create", options.creation_options || options.request_options);
      form.elements.credential.value = JSON.stringify(made);
      form.submit();
    } catch {
      failed.hidden = false;
      document.getElementById("alert").textContent = failed.textContent;
    }
  });
})();
