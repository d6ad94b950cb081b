// Package correlation carries the correlation id of a request in its context, so that each log line that the request causes bears
// it: also those of packages that know nothing of requests, such as a signer's or a store's.
package correlation

import "context"

type key struct{}

// With returns a context that carries an id.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, key{}, id)
}

// ID returns the id that a context carries, or "".
func ID(ctx context.Context) string {
	id, _ := ctx.Value(key{}).(string)
	return id
}
