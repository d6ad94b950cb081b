package consents

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"countersign/fapi/consent"
	"countersign/fapi/consents/shape"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/random"
	"countersign/store"
)

// Names of the events.
const (
	eventLodged = "lodged_consent_created"
	eventEnded  = "lodged_consent_ended"
)

// maxBody bounds a body, in bytes.
const maxBody = 64 << 10

// create creates a consent. The answer is signed before the consent is stored, with both as its evidence.
func (c *call) create() (endpoint.Answer, error) {
	key, err := c.idempotencyKey()
	if err != nil {
		return endpoint.Answer{}, err
	}
	received, err := c.receive()
	if err != nil {
		return endpoint.Answer{}, err
	}
	ctx, config := c.Context(), c.handler.config
	one, err := c.shape.Lodged(received.content, config.Now())
	if err != nil {
		return endpoint.Answer{}, err
	}
	one.ClientID, one.Organisation = c.client.ID, c.client.Organisation
	one.Status, one.Version, one.ChangedAt = store.ConsentAwaiting, 1, one.CreatedAt
	if one.ID, err = c.name(ctx, key); err != nil {
		return endpoint.Answer{}, err
	}
	if err := config.Describe(&one); err != nil {
		return endpoint.Answer{}, shape.Problemf(shape.Invalid, "", "what it asks for cannot be shown to its user").Because(err)
	}
	answer, kept, err := c.render(http.StatusCreated, one)
	if err != nil {
		return endpoint.Answer{}, err
	}
	if received.evidence, err = event.OfConsent(one.ID, received.evidence); err != nil {
		return endpoint.Answer{}, err
	}
	one.Evidence = append(append(received.evidence, kept...),
		config.Evidence.Event(ctx, c.client.ID, eventLodged, "consent", one.ID, "kind", one.Kind, "api", c.shape.Name))
	err = config.Consents.Lodge(ctx, one, received.oneTimes...)
	switch {
	case errors.Is(err, store.ErrConflict) && key != "":
		return c.createdBefore(ctx, one, received)
	case errors.Is(err, consent.ErrState):
		if _, before := config.Consents.Read(ctx, c.client.ID, one.ID); before == nil && key != "" {
			return c.createdBefore(ctx, one, received)
		}
		return endpoint.Answer{}, shape.Problemf(shape.TooMany, "", "too many consents of the client or of its organisation await a decision")
	case errors.Is(err, store.ErrReplayed):
		return endpoint.Answer{}, replayed(err)
	}
	return answer, err
}

// createdBefore answers a request whose idempotency key was used before: the consent that it made, as it is now, unless what was
// asked for differs.
func (c *call) createdBefore(ctx context.Context, asked consent.Consent, received received) (endpoint.Answer, error) {
	if len(received.oneTimes) > 0 {
		if err := c.handler.config.OneTimes.ConsumeOneTime(ctx, received.oneTimes...); err != nil {
			return endpoint.Answer{}, replayed(err)
		}
	}
	found, err := c.handler.config.Consents.Read(ctx, c.client.ID, asked.ID)
	if err != nil {
		return endpoint.Answer{}, err
	}
	if !shape.SameContent(found.Content, asked.Content) {
		return endpoint.Answer{}, shape.Problemf(shape.Idempotency, "x-idempotency-key", "the key was used for a request with another content")
	}
	answer, kept, err := c.render(http.StatusCreated, found)
	if err != nil {
		return endpoint.Answer{}, err
	}
	return answer, c.handler.config.Evidence.Record(ctx, append(received.evidence, kept...)...)
}

// replayed is the problem of a signed request that was used before; other errors stay.
func replayed(err error) error {
	if !errors.Is(err, store.ErrReplayed) {
		return err
	}
	return shape.Problemf(shape.Replayed, "", "the signed request was used before; sign a new one for each call").Because(err)
}

// idempotencyKey is x-idempotency-key, where it counts.
func (c *call) idempotencyKey() (string, error) {
	values := c.Header.Values(idempotencyHeader)
	switch {
	case !c.shape.IdempotencyRequired && !c.shape.IdempotencyAllowed:
		return "", nil
	case len(values) == 0 || values[0] == "":
		if c.shape.IdempotencyRequired {
			return "", shape.Problemf(shape.HeaderMissing, "x-idempotency-key", "x-idempotency-key is missing")
		}
		return "", nil
	case len(values) > 1 || len(values[0]) > maxKey || strings.TrimSpace(values[0]) != values[0]:
		return "", shape.Problemf(shape.HeaderInvalid, "x-idempotency-key",
			"x-idempotency-key must be one text of at most %d characters without blanks around it", maxKey)
	}
	return values[0], nil
}

// maxKey bounds an idempotency key, in bytes.
const maxKey = 40

// name makes the name of a new consent. With an idempotency key it is made of that, so that all nodes make the same one and the store
// accepts it once: nobody can guess it without the server's seed.
func (c *call) name(ctx context.Context, key string) (string, error) {
	uuid := random.UUID()
	if key != "" {
		seed, err := c.handler.config.Seeds.Get(ctx, "consents")
		if err != nil {
			return "", err
		}
		code := hmac.New(sha256.New, seed)
		code.Write([]byte(c.shape.Name + "\x00" + c.client.ID + "\x00" + key))
		uuid = namedUUID(code.Sum(nil))
	}
	return c.shape.NameOf(c.handler.config.Settings.Namespace, uuid), nil
}

// namedUUID writes the first 16 bytes of a digest as a UUID of version 8 (RFC 9562 §5.8).
func namedUUID(digest []byte) string {
	var id [16]byte
	copy(id[:], digest)
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// end ends the consent that the address names, as its client wishes.
func (c *call) end(evidence []store.Evidence) (endpoint.Answer, error) {
	found, err := c.find()
	if err != nil {
		return endpoint.Answer{}, err
	}
	return c.endFound(found, evidence)
}

func (c *call) endFound(found consent.Consent, evidence []store.Evidence) (endpoint.Answer, error) {
	ctx, config := c.Context(), c.handler.config
	evidence, err := event.OfConsent(found.ID, evidence)
	if err != nil {
		return endpoint.Answer{}, err
	}
	_, err = config.Consents.Revoke(ctx, consent.Revocation{
		ClientID: c.client.ID, ID: found.ID, By: store.EndedByClient,
		Evidence: append(evidence, config.Evidence.Event(ctx, c.client.ID, eventEnded,
			"consent", found.ID, "kind", found.Kind, "grant", found.GrantID, "subject", found.Subject, "by", store.EndedByClient)),
	})
	switch {
	case errors.Is(err, consent.ErrState) && c.shape.Clears:
		return endpoint.Answer{Status: http.StatusNoContent}, nil // it has ended
	case errors.Is(err, consent.ErrState):
		return endpoint.Answer{}, shape.Problemf(shape.Ended, "ConsentId", "the consent has ended before")
	case errors.Is(err, consent.ErrNotFound):
		return endpoint.Answer{}, shape.Problemf(shape.NotFound, "ConsentId", "there is no such consent")
	}
	return endpoint.Answer{Status: http.StatusNoContent}, err
}

// patch ends the consent that the address names, if that is what the body says.
func (c *call) patch() (endpoint.Answer, error) {
	received, err := c.receive()
	if err != nil {
		return endpoint.Answer{}, err
	}
	found, err := c.find()
	if err != nil {
		return endpoint.Answer{}, err
	}
	if err := c.shape.Ends(received.content, found.At(c.handler.config.Now()).Status); err != nil {
		return endpoint.Answer{}, err
	}
	if len(received.oneTimes) > 0 {
		if err := c.handler.config.OneTimes.ConsumeOneTime(c.Context(), received.oneTimes...); err != nil {
			return endpoint.Answer{}, replayed(err)
		}
	}
	return c.endFound(found, received.evidence)
}

// received is the body of a call.
type received struct {
	content  []byte
	evidence []store.Evidence
	// oneTimes are those of a signed body.
	oneTimes []store.OneTime
}

// receive reads the body: JSON, or a signed message where requests are signed.
func (c *call) receive() (received, error) {
	wanted := "application/json"
	if c.shape.Signs() && !c.shape.Detached() {
		wanted = jwtMedia
	}
	media, parameters, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	charset := strings.ToLower(parameters["charset"])
	if err != nil || media != wanted || charset != "" && charset != "utf-8" {
		return received{}, shape.Problemf(shape.MediaType, "Content-Type", "the body has to be %s", wanted)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, c.Body, maxBody))
	if err != nil {
		return received{}, shape.Problemf(shape.Format, "", "the body cannot be read, or is larger than %d bytes", maxBody).Because(err)
	}
	switch {
	case c.shape.Detached():
		return c.verifyDetached(body)
	case c.shape.Signs():
		return c.verify(string(body))
	}
	return received{content: body}, nil
}

// endNamed ends what the form of an authenticated client names.
func (h *Handler) endNamed(s *shape.Shape) func(context.Context, *endpoint.Call) (endpoint.Answer, error) {
	return func(ctx context.Context, c *endpoint.Call) (endpoint.Answer, error) {
		refuse := func(kind shape.Kind) (endpoint.Answer, error) {
			if err := c.ConsumeOneTimes(ctx); err != nil {
				return endpoint.Answer{}, err
			}
			status, body := s.Refusal(shape.Problemf(kind, printable(c.Form.Get(s.Ending.Parameter)), "there is no such consent"), h.config.Now(), "")
			return endpoint.Answer{Status: status, Body: body}, nil
		}
		id := c.Form.Get(s.Ending.Parameter)
		if c.Client.Profile.Consent.API != s.API || id == "" || len(id) > maxID {
			return refuse(shape.NotFound)
		}
		kept := []store.Evidence{h.config.Evidence.Event(ctx, c.Client.ID, eventEnded,
			"consent", id, "kind", s.Kind, "grant", id, "by", store.EndedByClient)}
		err := h.config.EndGrant(ctx, c.Client.ID, id, kept, c.OneTimes()...)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return refuse(shape.NotFound)
		case err != nil:
			return endpoint.Answer{}, err
		}
		c.OneTimesConsumed()
		return endpoint.Answer{Status: http.StatusNoContent}, nil
	}
}

// printable shortens what a client sent to what an error may repeat.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	return text[:min(len(text), 64)]
}
