package flowclient

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// CIBAGrant is the grant type of CIBA Core §10.1.
const CIBAGrant = "urn:openid:params:grant-type:ciba"

// Asked is the answer to a backchannel authentication request (CIBA Core §7.3).
type Asked struct {
	AuthReqID string `json:"auth_req_id"`
	// ExpiresIn and Interval, the least time between two polls, are in seconds.
	ExpiresIn int `json:"expires_in"`
	Interval  int `json:"interval"`
}

// Asked reads the answer to a backchannel authentication request.
func (r Reply) Asked() (Asked, error) {
	if err := r.Expect(http.StatusOK); err != nil {
		return Asked{}, err
	}
	var asked Asked
	if err := r.Decode(&asked); err != nil {
		return Asked{}, err
	}
	if asked.AuthReqID == "" {
		return Asked{}, errors.New("the answer must hold an auth_req_id (CIBA Core §7.3)")
	}
	return asked, nil
}

// Ask asks a user over the backchannel (CIBA Core §7.1). form holds the hint and whatever else is asked; the client's
// scope is added if there is none.
func (c *Client) Ask(ctx context.Context, form url.Values, changes ...Change) (Reply, error) {
	return c.Post(ctx, c.Endpoints.Backchannel, c.withScope(form), changes...)
}

// AskSigned asks by a signed request (CIBA Core §7.1.1). alter may change its claims, or be nil.
func (c *Client) AskSigned(ctx context.Context, form url.Values, alter func(Claims), changes ...Change) (Reply, error) {
	object, err := c.RequestObject(ctx, "", c.withScope(form), alter)
	if err != nil {
		return Reply{}, err
	}
	return c.Post(ctx, c.Endpoints.Backchannel, url.Values{"request": {object}}, changes...)
}

func (c *Client) withScope(form url.Values) url.Values {
	all := cloneForm(form)
	if !all.Has("scope") {
		all.Set("scope", c.Scope)
	}
	return all
}

// Poll asks once for the tokens of a request (CIBA Core §10.1).
func (c *Client) Poll(ctx context.Context, authReqID string, changes ...Change) (Reply, error) {
	return c.Post(ctx, c.Endpoints.Token, url.Values{"grant_type": {CIBAGrant}, "auth_req_id": {authReqID}}, changes...)
}

// AwaitDecision polls until the request is decided or has expired, or ctx ends, and gives the last answer. It waits five
// seconds more from each slow_down on (CIBA Core §11).
func (c *Client) AwaitDecision(ctx context.Context, asked Asked) (Reply, error) {
	interval := time.Duration(max(asked.Interval, 1)) * time.Second
	for {
		reply, err := c.Poll(ctx, asked.AuthReqID)
		if err != nil {
			return Reply{}, err
		}
		switch reply.OAuthError().Code {
		case "authorization_pending":
		case "slow_down":
			interval += 5 * time.Second
		default:
			return reply, nil
		}
		if !pause(ctx, interval) {
			return Reply{}, ctx.Err()
		}
	}
}

// ApprovalApp is an application that was enrolled as a user's device, and decides what the user is asked. It proves
// itself by DPoP proofs of its ProofKey, and by nothing else; see docs/ciba-device.md.
type ApprovalApp struct {
	*Client
	// ACR and AMR are how the user is said to have been authenticated for a decision; AMR is separated by spaces.
	ACR, AMR string
}

// tries is how often an app calls at most: for a nonce, and for a server that limits how often one user decides.
const tries = 8

// Enroll makes the app a device of the user who got the one-time code.
func (a *ApprovalApp) Enroll(ctx context.Context, code, name string) error {
	reply, err := a.call(ctx, http.MethodPost, a.Issuer+"/device/api/enrol", url.Values{"code": {code}, "name": {name}})
	if err != nil {
		return err
	}
	return reply.Expect(http.StatusCreated)
}

// ApprovalRequest is a request as an app is shown it.
type ApprovalRequest struct {
	State string   `json:"state"`
	ACRs  []string `json:"acr_values"`
	// Approve and Deny are where the decision is posted, while the request waits.
	Approve string `json:"approve"`
	Deny    string `json:"deny"`
}

// Request reads the request with an auth_req_id: the apps' name of a request is its SHA-256.
func (a *ApprovalApp) Request(ctx context.Context, authReqID string) (ApprovalRequest, error) {
	reply, err := a.call(ctx, http.MethodGet, a.Issuer+"/device/api/requests/"+Digest(authReqID), nil)
	if err != nil {
		return ApprovalRequest{}, err
	}
	if err := reply.Expect(http.StatusOK); err != nil {
		return ApprovalRequest{}, err
	}
	var request ApprovalRequest
	return request, reply.Decode(&request)
}

// Decide approves or denies a request. The answer may be that somebody has decided before.
func (a *ApprovalApp) Decide(ctx context.Context, request ApprovalRequest, approve bool) (Reply, error) {
	address := request.Deny
	if approve {
		address = request.Approve
	}
	if address == "" {
		return Reply{}, fmt.Errorf("the request does not wait: it is %s", Printable(request.State))
	}
	acr := a.ACR
	if len(request.ACRs) > 0 {
		acr = request.ACRs[0] // what was asked for
	}
	return a.call(ctx, http.MethodPost, address, url.Values{"acr": {acr}, "amr": {a.AMR}})
}

// call calls the devices' API with a proof, again after the time that the server asks for.
func (a *ApprovalApp) call(ctx context.Context, method, address string, form url.Values) (Reply, error) {
	for range tries {
		reply, err := a.withNonce(false, func() (Reply, error) {
			proof, err := a.Proof(ctx, method, address, "", func(claims Claims) {
				if form != nil {
					claims["content_digest"] = contentDigest(form.Encode())
				}
			})
			if err != nil {
				return Reply{}, err
			}
			return a.send(ctx, method, address, cloneForm(form), http.Header{"Dpop": {proof}}, nil)
		})
		if err != nil || reply.Status != http.StatusTooManyRequests {
			return reply, err
		}
		wait, err := strconv.Atoi(reply.Header.Get("Retry-After"))
		if err != nil || wait < 1 || wait > 60 {
			wait = 1
		}
		if !pause(ctx, time.Duration(wait)*time.Second) {
			return Reply{}, ctx.Err()
		}
	}
	return Reply{}, fmt.Errorf("%s %s: %d tries did not help", method, address, tries)
}

// contentDigest is the Content-Digest of a body (RFC 9530 §2).
func contentDigest(body string) string {
	digest := sha256.Sum256([]byte(body))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"
}

// pause waits, and reports whether to go on.
func pause(ctx context.Context, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
