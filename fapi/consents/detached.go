package consents

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/consents/shape"
	"countersign/fapi/endpoint"
	"countersign/fapi/tokens"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/jose/detached"
	"countersign/mtls/dn"
	"countersign/signer"
	"countersign/store"
)

// The members of the JOSE header of a detached signature, behind the row's prefix (UK Open Banking, Read/Write Data API profile,
// Message Signing): when it was made, by whom, and whose keys verify it. crit names all three.
var detachedMembers = []string{"iat", "iss", "tan"}

// verifyDetached verifies the signature in a header over the body: its form, that it is made by the client's keys, and what its
// header says.
func (c *call) verifyDetached(body []byte) (received, error) {
	rules, config := c.shape.Signed, c.handler.config
	values := c.Header.Values(rules.Header)
	if len(values) == 0 || values[0] == "" {
		return received{}, shape.Problemf(shape.Unsigned, rules.Header, "%s is missing", rules.Header)
	}
	malformed := func(err error) error {
		return shape.Problemf(shape.Malformed, rules.Header, "%s is not a detached JWS of an algorithm of the client's profile, with iat, iss and tan in crit", rules.Header).Because(err)
	}
	if len(values) > 1 {
		return received{}, malformed(nil)
	}
	token, err := detached.Parse(values[0], body, c.verifyAlgorithms(), func(name string) bool {
		short, ok := strings.CutPrefix(name, rules.Prefix)
		return ok && slices.Contains(detachedMembers, short)
	})
	if err != nil || len(token.Critical) != len(detachedMembers) || token.Header.Type != "" && token.Header.Type != "JOSE" {
		return received{}, malformed(err)
	}
	if token.Header.KeyID == "" {
		return received{}, shape.Problemf(shape.Claim, "kid", "kid is missing")
	}
	if err := c.checkSignature(token.Token); err != nil {
		return received{}, err
	}
	if err := c.checkDetached(token.Critical); err != nil {
		return received{}, err
	}
	kept, err := config.Evidence.Message(c.Context(), audit.ConsentRequest, c.client.ID, token.Compact(), token.VerifiedWith(), c.personal()...)
	if err != nil {
		return received{}, shape.Problemf(shape.Format, "", "the body is not a JSON object that can be read in one way").Because(err)
	}
	return received{content: body, evidence: []store.Evidence{kept}}, nil
}

// checkSignature verifies a signature with the client's keys, or those of its organisation where the row has it so.
func (c *call) checkSignature(token *jose.Token) error {
	verify := c.handler.config.Keys.Verify
	if c.shape.Signed.OrganisationKeys {
		verify = c.handler.config.Keys.VerifyMessage
	}
	err := verify(c.Context(), c.client, token)
	if busy := endpoint.KeysBusy(err); busy != nil {
		return busy
	}
	if err != nil {
		return shape.Problemf(shape.Signature, "", "the signature does not verify with the client's keys, nor those of its organisation").Because(err)
	}
	return nil
}

// checkDetached checks who signed, when, and whose keys verify it.
func (c *call) checkDetached(header map[string]json.RawMessage) error {
	rules, now := c.shape.Signed, c.handler.config.Now()
	wrong := func(name, format string, arguments ...any) error {
		return shape.Problemf(shape.Claim, rules.Prefix+name, rules.Prefix+name+" "+format, arguments...)
	}
	var issued jose.NumericDate
	var issuer, anchor string
	switch {
	case json.Unmarshal(header[rules.Prefix+"iat"], &issued) != nil:
		return wrong("iat", "is not a number of seconds")
	case issued.Time().After(now.Add(c.client.Profile.MaxAhead)):
		return wrong("iat", "is more than %s ahead; check the clock", c.client.Profile.MaxAhead)
	case now.Sub(issued.Time()) > time.Duration(rules.MaxAge):
		return wrong("iat", "is more than %s ago", time.Duration(rules.MaxAge))
	case json.Unmarshal(header[rules.Prefix+"iss"], &issuer) != nil || !slices.Contains(c.organisations, issuer) || issuer == "":
		return wrong("iss", "is not organisation/software of the client")
	case json.Unmarshal(header[rules.Prefix+"tan"], &anchor) != nil || anchor != rules.Anchor:
		return wrong("tan", "is not %s", rules.Anchor)
	}
	return nil
}

// signDetached signs an answer about a consent as it is sent, and returns the header's value.
func (c *call) signDetached(id string, body json.RawMessage) (string, store.Evidence, error) {
	config, rules := c.handler.config, c.shape.Signed
	issuer := config.Settings.Organisation
	if issuer == "" {
		issuer = config.Addresses.Issuer
	}
	signed, kept, err := config.Tokens.SignMessage(c.Context(), c.client, tokens.Message{
		Use: signer.UseHTTPMessage, Kind: audit.ConsentResponse, Algorithm: cmp.Or(rules.Algorithm, config.Tokens.AlgorithmFor(c.client, "")),
		Personal: c.personal(), Consent: id,
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return detached.Sign(ctx, key, "JOSE", map[string]any{
				rules.Prefix + "iat": config.Now().Unix(), rules.Prefix + "iss": issuer, rules.Prefix + "tan": rules.Anchor,
			}, body)
		},
	})
	if err != nil {
		return "", store.Evidence{}, err
	}
	return detached.Of(signed), kept, nil
}

// softwareOf is organisation/software of the client: as its directory knows it, or as the certificate of the connection names them.
func (c *call) softwareOf() []string {
	if c.client.Directory != "" {
		organisation := strings.TrimPrefix(c.client.Organisation, client.DirectoryOrganisation+c.client.Directory+":")
		return []string{organisation + "/" + c.client.Metadata.SoftwareID}
	}
	presented := c.trustedCertificate()
	if presented == nil {
		return nil
	}
	name, err := dn.OfSubject(presented.Leaf)
	if err != nil {
		return nil
	}
	var found []string
	for _, organisation := range organisationsIn(presented) {
		if software := name.Value(commonName); software != "" {
			found = append(found, organisation+"/"+software)
		}
	}
	return found
}
