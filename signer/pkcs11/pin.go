package pkcs11

import (
	"fmt"
	"io"
	"log/slog"

	"countersign/signer/pkcs11/internal/pin"
)

// PIN is a user PIN that came by another way than a file. It shows itself in no text, log line or JSON.
type PIN struct{ text string }

const redactedPIN = "[PIN]"

// NewPIN holds a PIN to what a token takes: 1 to 255 bytes in one line. The PIN is not in the error.
func NewPIN(text string) (PIN, error) {
	if !pin.Valid(text) {
		return PIN{}, fmt.Errorf("pkcs11: a PIN is one line of 1 to %d bytes", pin.Max)
	}
	return PIN{text}, nil
}

// Format implements [fmt.Formatter], for every verb.
func (PIN) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedPIN) }

// MarshalJSON implements json.Marshaler.
func (PIN) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedPIN + `"`), nil }

// LogValue implements [slog.LogValuer].
func (PIN) LogValue() slog.Value { return slog.StringValue(redactedPIN) }
