package bank

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// resource is an API of an ecosystem.
type resource struct {
	// pattern is a method and a path.
	pattern string
	// scopes are the alternatives that suffice, each the scope values that are needed together; name:* is one with a parameter.
	scopes []string
	// header has to be in the request, besides the access token.
	header string
	answer func(*Bank, *http.Request, access) (reply, error)
}

// reply is what an API answers.
type reply struct {
	status int
	// body is an object, or text that is a JWT.
	body any
}

// The addresses of the APIs, below the bank's, as their ecosystems name them.
const (
	ukConsents        = "/open-banking/v3.1/aisp/account-access-consents"
	ukAccounts        = "/open-banking/v3.1/aisp/accounts"
	ksaConsents       = "/open-banking/account-information/2024.09.01-final-errata1/account-access-consents"
	ksaPlainConsents  = "/open-banking/account-information/json/account-access-consents"
	ksaAccounts       = "/open-banking/account-information/2024.09.01-final-errata1/accounts"
	brazilConsents    = "/open-banking/consents/v3/consents"
	brazilAccounts    = "/open-banking/accounts/v2/accounts"
	paymentConsents   = "/open-banking/payments/v4/consents"
	payments          = "/open-banking/payments/v4/pix/payments"
	insuranceConsents = "/open-insurance/consents/v3/consents"
	insurancePolicies = "/open-insurance/resources/v2/resources"
	cdrAccounts       = "/cds-au/v1/banking/accounts"
	cdrCustomer       = "/cds-au/v1/common/customer"
	uaeAccounts       = "/open-finance/account-information/v2.1/accounts"
)

// Addresses are where an ecosystem's APIs are: Consents is where an application asks for a consent, Resource what it reads with
// a token then.
type Addresses struct{ Consents, Resource string }

// Addresses returns those of an ecosystem, by the suite's name of it. Consents are below an address of the server, if that keeps
// them itself, and else the bank's own.
func (b *Bank) Addresses(ecosystem string, paying bool, server string) (Addresses, bool) {
	at := map[string]Addresses{
		"openbanking_uk": {ukConsents, ukAccounts}, "openbanking_ksa": {ksaPlainConsents, ksaAccounts}, "ksa": {ksaConsents, ksaAccounts},
		"openbanking_brazil": {brazilConsents, brazilAccounts}, "openinsurance_brazil": {insuranceConsents, insurancePolicies},
		"consumerdataright_au": {"", cdrAccounts}, "cbuae": {"", uaeAccounts},
	}
	found, ok := at[ecosystem]
	if paying {
		found = Addresses{paymentConsents, payments}
	}
	if found.Consents != "" {
		found.Consents = cmp.Or(server, b.base) + found.Consents
	}
	found.Resource = b.base + found.Resource
	return found, ok
}

// resources are all APIs.
func resources() []resource {
	uk := shape{data: "Data", id: "ConsentId", prefix: "", status: "AwaitingAuthorisation", risk: true}
	brazil := shape{data: "data", id: "consentId", prefix: "urn:bank:", status: "AWAITING_AUTHORISATION"}
	list := []resource{
		{"GET " + ukAccounts, []string{"accounts"}, "", (*Bank).accounts},
		{"GET " + ksaAccounts, []string{"accounts:*"}, "", (*Bank).accounts},
		{"GET " + brazilAccounts, []string{"accounts consent:*"}, "", (*Bank).accounts},
		{"GET " + insurancePolicies, []string{"resources consent:*"}, "", (*Bank).accounts},
		{"GET " + cdrAccounts, []string{"bank:accounts.basic:read"}, "x-v", (*Bank).versioned},
		{"GET " + cdrCustomer, []string{"common:customer.basic:read"}, "x-v", (*Bank).versioned},
		{"GET " + uaeAccounts, []string{"accounts"}, "", (*Bank).accounts},
		{"POST " + payments, []string{"payments consent:*"}, "x-idempotency-key", (*Bank).pay},
		{"POST " + paymentConsents, []string{"payments"}, "x-idempotency-key", brazil.order},
	}
	for _, c := range []struct {
		path  string
		scope string
		shape shape
	}{
		{ukConsents, "accounts", uk}, {ksaConsents, "accounts", uk}, {ksaPlainConsents, "accounts", uk}, {brazilConsents, "consents", brazil}, {insuranceConsents, "consents", brazil},
	} {
		list = append(list,
			resource{"POST " + c.path, []string{c.scope}, "", c.shape.create},
			resource{"GET " + c.path + "/{id}", []string{c.scope}, "", c.shape.read},
			resource{"DELETE " + c.path + "/{id}", []string{c.scope}, "", c.shape.revoke})
	}
	return list
}

// interactionID is the header by which both sides name a request (FAPI 1.0 Baseline §6.2.1-11).
const interactionID = "x-fapi-interaction-id"

// serve serves one API.
func (b *Bank) serve(wanted resource) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(interactionID)
		if id == "" || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
			id = newUUID()
		}
		w.Header().Set(interactionID, id)
		w.Header().Set("Cache-Control", "no-store")
		known, err := b.authorize(r, wanted)
		var said reply
		if err == nil && wanted.header != "" && r.Header.Get(wanted.header) == "" {
			err = refuse(http.StatusBadRequest, "HEADER_MISSING", "the header %s is missing", wanted.header)
		}
		if err == nil {
			said, err = wanted.answer(b, r, known)
		}
		if err != nil {
			said = refused(w, err)
		} else if v := r.Header.Get("x-v"); v != "" && wanted.header == "x-v" {
			w.Header().Set("x-v", v)
		}
		b.write(w, said)
	}
}

// refused is an error as an answer.
func refused(w http.ResponseWriter, err error) reply {
	refusal, ok := errors.AsType[*refusal](err)
	if !ok {
		return reply{http.StatusInternalServerError, map[string]any{"errors": []any{map[string]string{"code": "INTERNAL", "title": err.Error()}}}}
	}
	if refusal.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("DPoP error=%q, Bearer error=%[1]q", refusal.code))
	}
	return reply{refusal.status, map[string]any{"errors": []any{map[string]string{"code": refusal.code, "title": refusal.title, "detail": refusal.title}}}}
}

func (b *Bank) write(w http.ResponseWriter, said reply) {
	body, isJWT := said.body.(string)
	if !isJWT {
		encoded, _ := json.Marshal(said.body) // made of maps and text here
		body = string(encoded)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	} else {
		w.Header().Set("Content-Type", "application/jwt")
	}
	w.WriteHeader(said.status)
	if said.status != http.StatusNoContent {
		_, _ = w.Write([]byte(body)) // a client that went away needs no answer
	}
}

// accounts is a list of accounts, in members that all ecosystems know.
func (b *Bank) accounts(r *http.Request, _ access) (reply, error) {
	account := map[string]string{"AccountId": "22289", "accountId": "22289", "Currency": "GBP", "Nickname": "Everyday"}
	list := map[string]any{"data": []any{account}, "Data": map[string]any{"Account": []any{account}}, "links": map[string]string{"self": b.base + r.URL.Path}}
	return reply{http.StatusOK, list}, nil
}

// versioned is a list for a request that names the version that it wants (Consumer Data Standards, HTTP headers).
func (b *Bank) versioned(r *http.Request, known access) (reply, error) {
	if v := r.Header.Get("x-v"); strings.Trim(v, "0123456789") != "" || v[0] == '0' {
		return reply{}, refuse(http.StatusBadRequest, "urn:au-cds:error:cds-all:Header/InvalidVersion", "x-v must be a positive number")
	}
	return b.accounts(r, known)
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// newUUID makes a random UUID (RFC 9562 §5.4).
func newUUID() string {
	u := make([]byte, 16)
	_, _ = rand.Read(u) // it ends the program rather than fail
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	h := hex.EncodeToString(u)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
