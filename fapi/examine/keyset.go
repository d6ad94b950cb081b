package examine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/mtls"
)

// KeySet examines a key set (RFC 7517 §5) as that of a client, in place of the one that it registered or publishes: each key, what it
// is of use for and why others are left out, and whether the registration would be accepted with it.
func (e *Examiner) KeySet(ctx context.Context, clientID string, raw []byte) (*Report, error) {
	r := e.report(KeySet)
	caller, err := e.client(ctx, r, clientID)
	if err != nil || caller == nil {
		return r, err
	}
	set, err := jose.ParseKeySet(raw)
	if err != nil {
		r.rule("set", oauth.Errorf(oauth.InvalidClientMetadata, "jwks: %v", err))
		return r, nil
	}
	r.rule("set", nil)
	r.fact("keys", fmt.Sprint(set.Len()))
	r.fact("alg accepted", strings.Join(caller.AssertionAlgorithms(), ", "))
	if caller.Metadata.JWKSURI == "" {
		r.rule("registration", registers(caller, raw))
	} else {
		r.rule("registration", needed(caller, set))
	}
	r.keys(caller, set, raw)
	return r, nil
}

// registers holds a registration with these keys to its profile.
func registers(caller *client.Client, raw []byte) error {
	with := caller.Metadata
	with.JWKS = json.RawMessage(jose.TrimByteOrderMark(raw))
	encoded, err := json.Marshal(with)
	if err != nil {
		return err
	}
	if _, err = client.Parse(caller.ID, caller.Profile.Name, encoded); err != nil {
		return oauth.Errorf(oauth.InvalidClientMetadata, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// needed reports whether keys at an address are of any use for what the client does with them.
func needed(caller *client.Client, set jose.KeySet) error {
	switch method := caller.AuthMethod(); {
	case method == profile.PrivateKeyJWT && !slices.ContainsFunc(set.Keys(), func(k jose.Key) bool {
		return slices.ContainsFunc(caller.AssertionAlgorithms(), k.Verifies)
	}):
		return oauth.Errorf(oauth.InvalidClient, "no key verifies a client assertion signed with %s%s", strings.Join(caller.AssertionAlgorithms(), " or "),
			jose.Hint(caller.LeftOut(set)))
	case method == profile.SelfSignedTLSClientAuth && !set.Certifies():
		return oauth.Errorf(oauth.InvalidClient, "no key can be that of a self-signed certificate%s", jose.Hint(caller.LeftOut(set)))
	}
	return nil
}

// maxKeysShown bounds the keys in a report.
const maxKeysShown = 200

// keys adds each key.
func (r *Report) keys(caller *client.Client, set jose.KeySet, raw []byte) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(jose.TrimByteOrderMark(raw), &document) != nil {
		return // ParseKeySet has read it
	}
	left := map[int]jose.LeftOut{}
	for _, one := range caller.LeftOut(set) {
		left[one.Position] = one
	}
	kids, prints := map[string]int{}, map[string]int{}
	for i, encoded := range document.Keys[:min(len(document.Keys), maxKeysShown)] {
		position := i + 1
		if one, ok := left[position]; ok {
			r.note(one.Name(), "left out: "+one.Reason)
			continue
		}
		key, err := jose.ParseSetKey(encoded)
		if err != nil {
			continue // ParseKeySet has read it
		}
		name := jose.LeftOut{Position: position, KeyID: key.ID}.Name()
		f := Finding{Rule: name, Accepted: true, Text: uses(caller, key)}
		f.Section, _ = Explain(KeySet, "key")
		r.Findings = append(r.Findings, f)
		if first := kids[key.ID]; first > 0 && key.ID != "" {
			r.note(name, fmt.Sprintf("has the kid of key %d: both are tried for each signature", first))
		}
		if first := prints[key.Thumbprint()]; first > 0 {
			r.note(name, fmt.Sprintf("is the same key as key %d", first))
		}
		kids[key.ID], prints[key.Thumbprint()] = position, position
		r.certified(name, encoded)
	}
}

// uses says what a key is of use for.
func uses(caller *client.Client, key jose.Key) string {
	var does []string
	for _, alg := range profile.Algorithms() {
		switch {
		case !key.Verifies(alg):
		case slices.Contains(caller.AssertionAlgorithms(), alg):
			does = append(does, "verifies "+alg)
		default:
			does = append(does, "would verify "+alg+", which this client did not register for its assertions")
		}
	}
	if len(does) == 0 {
		does = append(does, "verifies no signature; for encryption, or a certificate")
	}
	return strings.Join(does, ", ") + "; thumbprint " + key.Thumbprint()
}

// certified notes a certificate in x5c whose time is not now: the server takes the key and looks at nothing else in it.
func (r *Report) certified(name string, encoded []byte) {
	var members struct {
		Certificates []string `json:"x5c"`
	}
	if json.Unmarshal(encoded, &members) != nil || len(members.Certificates) == 0 {
		return
	}
	presented, err := readPresented([]byte("-----BEGIN CERTIFICATE-----\n" + members.Certificates[0] + "\n-----END CERTIFICATE-----\n"))
	if _, unusable := errors.AsType[*mtls.CertificateError](err); unusable {
		r.note(name, "its x5c: "+reason(err)+"; the key counts all the same")
		return
	}
	if err != nil {
		return
	}
	leaf := presented.Leaf
	if r.At.Before(leaf.NotBefore) || r.At.After(leaf.NotAfter) {
		r.note(name, fmt.Sprintf("its x5c is valid from %s to %s; the key counts all the same", leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339)))
	}
}
