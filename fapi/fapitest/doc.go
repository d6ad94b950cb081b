// Package fapitest is the world of the server's tests: real listeners, store and HSM, with clients, browsers and devices
// that act in it, well and badly.
package fapitest
