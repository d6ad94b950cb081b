// Keeps a page of the device up to date, and lets the browser be woken. Without it the person loads the page again.
'use strict';
(() => {
  const script = document.currentScript.src;
  const page = document.querySelector('[data-events]');
  if (page && window.EventSource) {
    for (const element of document.querySelectorAll('[data-without-events]')) element.hidden = true;
    const source = new EventSource(page.dataset.events);
    const again = () => {
      // Nothing is taken from under a person who is about to decide.
      if (document.documentElement.dataset.busy) setTimeout(again, 500);
      else location.reload();
    };
    source.addEventListener('message', event => {
      if (event.data === page.dataset.version) return;
      source.close();
      again();
    });
    source.addEventListener('error', () => {
      // The browser comes back by itself, unless the sign-in has ended.
      if (source.readyState === EventSource.CLOSED) location.reload();
    });
  }

  const form = document.querySelector('form[data-push]');
  if (!form || !('serviceWorker' in navigator) || !('PushManager' in window) || !('Notification' in window)) return;
  const decode = text => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0));
  const encode = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  const key = form.dataset.push;
  const endpoint = form.querySelector('input[name=endpoint]');
  const problem = form.querySelector('[data-problem]');
  // The page may name one worker and no other script: the one that lies beside this file.
  const worker = new URL('worker.js', script).href;
  const address = window.trustedTypes
    ? trustedTypes.createPolicy('countersign-worker', {createScriptURL: () => worker}).createScriptURL('')
    : worker;
  const register = () => navigator.serviceWorker.register(address);
  register().then(registration => registration.pushManager.getSubscription()).then(subscription => {
    const current = subscription && subscription.options.applicationServerKey &&
      encode(subscription.options.applicationServerKey) === key;
    form.hidden = Boolean(current && form.dataset.endpoints.split(' ').includes(subscription.endpoint));
  }).catch(() => {});
  form.addEventListener('submit', event => {
    if (endpoint.value) return;
    event.preventDefault();
    problem.hidden = true;
    (async () => {
      if (await Notification.requestPermission() !== 'granted') throw new Error('not granted');
      const registration = await register();
      const former = await registration.pushManager.getSubscription();
      if (former) await former.unsubscribe();
      const made = await registration.pushManager.subscribe({userVisibleOnly: true, applicationServerKey: decode(key)});
      endpoint.value = made.endpoint;
      form.requestSubmit(event.submitter);
    })().catch(() => {
      problem.textContent = form.dataset.failed;
      problem.hidden = false;
    });
  });
})();
