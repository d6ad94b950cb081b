package checklist

// fieldKeySets are about key sets as clients serve them.
func fieldKeySets() []Item {
	return []Item{
		{ID: "FD-40", Section: "RFC 7517 §5", Requires: "a key that cannot be used is left out of a set and named with the reason; the others work, and only a private key refuses them"},
		{ID: "FD-41", Section: "RFC 7517 §4.7, RFC 7518 §6", Requires: "a key that is only written in another way is read as the same key: byte order marks, base64, padding, leading zeros, PEM in x5c"},
		{ID: "FD-42", Section: "RFC 7517 §5", Requires: "a set of 1,000 keys or 1 MiB costs a request what one of two keys does: indexed, and fetched and read beside the requests"},
		{ID: "FD-43", Section: "RFC 7591 §2", Requires: "keys rotate beside a key that is wrong; a document that is refused keeps the keys from before, and the client that wants a newer one is told why"},
		{ID: "FD-44", Section: "RFC 7517 §5", Requires: "keys that are left out, and key sets that cannot be read, are logged once for each change of a document"},
		{ID: "FD-45", Section: "RFC 8705 §2.2", Requires: "self-signed certificates with keys on P-384 and P-521, and of use tls"},
		{ID: "FD-46", Section: "RFC 9110 §8.4", Requires: "a jwks_uri that answers in gzip is read within the limit; what else it answered is told, and what is on the way to it is not"},
		{ID: "FD-47", Section: "RFC 7515 §4", Requires: "x5c and x5t in a header are ignored: they choose no key"},
		{ID: "FD-48", Section: "RFC 7591 §3.2.2", Requires: "a registration is refused for its keys when none can be used, and the answer names them"},
		{ID: "FD-49", Section: "RFC 6749 §5.2", Requires: "the answer to a client whose key cannot be used says which and why"},
	}
}
