// Runs the two ceremonies of WebAuthn for forms that ask for them (data-passkey), and shows what needs them. The pages
// say everything else: without this script, or without passkeys, they are plain forms.
'use strict';
(() => {
  if (!window.PublicKeyCredential || !navigator.credentials) return;

  const decode = text => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0));
  const encode = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

  // The options as JSON (WebAuthn Level 3 §5.1.8, §5.1.9) become what the browser takes.
  const read = text => {
    const options = JSON.parse(text);
    options.challenge = decode(options.challenge);
    if (options.user) options.user.id = decode(options.user.id);
    for (const list of [options.allowCredentials, options.excludeCredentials]) {
      for (const each of list || []) each.id = decode(each.id);
    }
    return options;
  };

  // What the browser gives becomes JSON (§5.1.8).
  const write = credential => {
    const response = {};
    for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
      if (credential.response[name]) response[name] = encode(credential.response[name]);
    }
    return JSON.stringify({
      id: credential.id, rawId: encode(credential.rawId), type: credential.type, clientExtensionResults: {}, response,
    });
  };

  const ask = (kind, options) => kind === 'create'
    ? navigator.credentials.create({publicKey: read(options)})
    : navigator.credentials.get({publicKey: read(options)});

  for (const element of document.querySelectorAll('[data-with-passkey]')) element.hidden = false;
  for (const form of document.querySelectorAll('form[data-passkey]')) {
    const answer = form.querySelector('input[name=passkey]');
    const problem = form.querySelector('[data-problem]');
    let busy = false;
    form.hidden = false;
    form.addEventListener('submit', event => {
      const button = event.submitter;
      const options = (button && button.dataset.options) || form.dataset.options;
      if (!options || answer.value) return;
      event.preventDefault();
      if (busy) return;
      busy = true;
      problem.hidden = true;
      document.documentElement.dataset.busy = 'yes';
      ask(form.dataset.passkey, options).then(credential => {
        answer.value = write(credential);
        form.requestSubmit(button);
      }).catch(error => {
        // NotAllowedError is also what the browser says when there is no passkey that fits.
        problem.textContent = (error.name === 'InvalidStateError' && form.dataset.exists) || form.dataset.failed;
        problem.hidden = false;
      }).finally(() => {
        busy = false;
        delete document.documentElement.dataset.busy;
      });
    });
  }
  // A page that comes back out of the browser's history must not send an answer again.
  window.addEventListener('pageshow', event => {
    if (event.persisted) location.reload();
  });
})();
