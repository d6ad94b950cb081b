// Package ciba will hold the life of a backchannel authentication request (OpenID Connect CIBA Core 1.0,
// FAPI-CIBA): start, decision, polling, ping. Nothing of it is built yet, and no endpoint is served or advertised.
package ciba
