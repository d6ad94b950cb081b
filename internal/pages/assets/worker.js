// Shows that there is a request when the server wakes the browser. The message is empty: nobody between the server and
// the browser learns more than that.
'use strict';
const words = [/* words */];
const wanted = (navigator.language || '').toLowerCase();
const text = words.find(each => each[0].toLowerCase() === wanted) ||
  words.find(each => each[0].split('-')[0] === wanted.split('-')[0]) || words[0];
self.addEventListener('push', event => {
  event.waitUntil(self.registration.showNotification(text[1], {
    body: text[2], lang: text[0], tag: 'request', icon: new URL('icon-192.png', self.location).href,
  }));
});
self.addEventListener('notificationclick', event => {
  event.notification.close();
  event.waitUntil((async () => {
    const address = new URL('../device', self.location).href;
    for (const open of await self.clients.matchAll({type: 'window', includeUncontrolled: true})) {
      if (open.url === address) return open.focus();
    }
    return self.clients.openWindow(address);
  })());
});
