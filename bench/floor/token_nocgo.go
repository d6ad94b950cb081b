//go:build !cgo || nopkcs11

package floor

import (
	"context"
	"errors"
)

// openToken needs C.
func openToken(context.Context, string, string) (func([]byte) ([]byte, error), error) {
	return nil, errors.New("the floor's token needs cgo")
}
