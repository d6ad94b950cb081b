// Shows that there is a request when the server wakes the browser. The message is empty: nobody between the server and
// the browser learns more than that.
'use strict';
self.addEventListener('push', event => {
  event.waitUntil(self.registration.showNotification('You have a request to confirm', {
    body: 'Open it to see who asks for what.', tag: 'request', icon: new URL('icon-192.png', self.location).href,
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
