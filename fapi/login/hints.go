package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"countersign/fapi/backchannel"
	"countersign/internal/outbound"
	"countersign/internal/strictjson"
)

// Hints asks the login whom the hints of backchannel requests mean (CIBA Core §7.1; docs/api/login-v1.yaml, webhook resolveHint).
// Make one with [NewHints].
type Hints struct {
	address string
	client  *outbound.Client
}

// NewHints makes one for an https address, which the policy reaches. Errors are about the address.
func NewHints(address string, policy outbound.Policy) (*Hints, error) {
	if err := policy.CheckAddress(address); err != nil {
		return nil, err
	}
	policy.MaxBody = maxHintAnswer
	return &Hints{address: address, client: outbound.New(policy)}, nil
}

// maxHintAnswer bounds an answer, in bytes.
const maxHintAnswer = 4 << 10

// Resolve returns the subject whom a hint means, or [backchannel.ErrUnknownUser]. Other errors say why there was no answer; they
// hold neither the hint nor the answer.
func (h *Hints) Resolve(ctx context.Context, hint backchannel.Hint) (string, error) {
	question, err := json.Marshal(map[string]string{"client_id": hint.ClientID, "kind": hint.Kind, "hint": hint.Value})
	if err != nil {
		return "", err
	}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	answer, err := h.client.Ask(ctx, h.address, header, question)
	if failure, ok := errors.AsType[*outbound.Error](err); ok && failure.Status == http.StatusNotFound {
		return "", fmt.Errorf("%w: %w", backchannel.ErrUnknownUser, err)
	}
	if err != nil {
		return "", err
	}
	var said struct {
		Subject string `json:"subject"`
	}
	if err := strictjson.Decode(answer.Body, &said); err != nil {
		return "", errors.New("login: the answer about a hint is not a JSON object as docs/api/login-v1.yaml describes it")
	}
	unprintable := func(r rune) bool { return r <= 0x20 || r > 0x7e }
	if said.Subject == "" || len(said.Subject) > 255 || strings.ContainsFunc(said.Subject, unprintable) {
		return "", errors.New("login: the answer about a hint has no subject of 1 to 255 printable ASCII characters")
	}
	return said.Subject, nil
}
