//go:build ingress

package ingress

import "countersign/internal/proxies"

// started are all; make test-ingress installs them.
func started() []proxy {
	var all []proxy
	for _, kind := range proxies.All() {
		all = append(all, proxy{kind})
	}
	return all
}
