package request

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/internal/oauth"
)

// Covers: FD-86. The name of a class that a client is answered by is one that it asked by, never of more than was reached.
func TestACRNames(t *testing.T) {
	c := &Checker{acrs: []string{"strong", "weak"}, names: ACRNames{"strong": {"sca", "loa3"}, "weak": {"ca", "loa2"}, "gone": {"x"}}}
	caller := &client.Client{}
	if got := c.names.Supported(c.acrs); !slices.Equal(got, []string{"strong", "sca", "loa3", "weak", "ca", "loa2"}) {
		t.Errorf("supported %v", got)
	}
	for _, test := range []struct {
		name, reached string
		asked         []string
		want          string
	}{
		{"accepts the name asked by", "strong", []string{"sca"}, "sca"},
		{"accepts the first of several", "strong", []string{"loa3", "sca"}, "loa3"},
		{"accepts that of the class reached, whatever the order", "weak", []string{"loa3", "loa2"}, "loa2"},
		{"accepts a lesser one, which is true too", "strong", []string{"loa2"}, "loa2"},
		{"accepts the class's own name where none was asked by", "strong", nil, "strong"},
		{"refuses the name of more than was reached", "weak", []string{"sca"}, "weak"},
		{"refuses a name of no class", "weak", []string{"x", "y"}, "weak"},
		{"refuses any name where no class was reached", "", []string{"sca", "loa2"}, ""},
		{"refuses any name for a class that is not known", "other", []string{"loa2"}, "other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := c.ACR(caller, test.reached, test.asked); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	classes, named := c.names.resolve([]string{"y", "loa3", "sca", "strong", "loa2"}, c.acrs)
	if !slices.Equal(classes, []string{"y", "strong", "strong", "weak"}) || !slices.Equal(named, []string{"loa3", "sca", "strong", "loa2"}) {
		t.Errorf("%v, %v", classes, named)
	}
}

// Covers: LP-05. A client asks by the names of its own profile and no other's; one that asks for none is answered by them.
func TestLP05ACRNamesOfProfiles(t *testing.T) {
	const passkey, password = "urn:countersign:acr:passkey", "urn:countersign:acr:password"
	c := &Checker{acrs: []string{passkey, password}, names: ACRNames{passkey: {"urn:own"}}}
	of := func(name string) *client.Client {
		known, ok := profile.Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		return &client.Client{Profile: known}
	}
	const uk, cdr, brazil = "uk-openbanking", "au-cdr", "brazil-openfinance"
	for _, test := range []struct {
		name, profile string
		asked         []string
		essential     []string
		reached, want string
	}{
		{"the strongest", uk, []string{"urn:openbanking:psd2:ca", "urn:openbanking:psd2:sca"}, []string{passkey, password}, passkey, "urn:openbanking:psd2:sca"},
		{"what a password reaches", uk, []string{"urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"}, []string{passkey, password}, password, "urn:openbanking:psd2:ca"},
		{"a name that both classes satisfy", cdr, []string{"urn:cds.au:cdr:2"}, []string{passkey, password}, passkey, "urn:cds.au:cdr:2"},
		{"a name of one class", cdr, []string{"urn:cds.au:cdr:3"}, []string{passkey}, passkey, "urn:cds.au:cdr:3"},
		{"no name, by the profile's", brazil, nil, []string{passkey, password}, password, "urn:brasil:openbanking:loa2"},
		{"no name, by the profile's first", brazil, nil, []string{passkey, password}, passkey, "urn:brasil:openbanking:loa3"},
		{"the class's own name", brazil, []string{passkey}, []string{passkey}, passkey, passkey},
		{"a name of the server", uk, []string{"urn:own"}, []string{passkey}, passkey, "urn:own"},
	} {
		t.Run("accepts "+test.name, func(t *testing.T) {
			caller, claim := of(test.profile), &claims.Claim{Essential: true}
			for _, name := range test.asked {
				claim.Values = append(claim.Values, json.RawMessage(strconv.Quote(name)))
			}
			read := &Request{Claims: &claims.Request{IDToken: map[string]*claims.Claim{"acr": claim}}}
			if err := c.authenticationContext(input{client: caller}, read); err != nil || !slices.Equal(read.EssentialACRs, test.essential) {
				t.Fatalf("%v, %v", read.EssentialACRs, err)
			}
			if got := c.ACR(caller, test.reached, read.ACRNames); got != test.want {
				t.Errorf("answered by %s", got)
			}
		})
	}
	for name, asked := range map[string]string{uk: "urn:cds.au:cdr:2", cdr: "urn:openbanking:psd2:sca", "fapi1-advanced": "urn:brasil:openbanking:loa2"} {
		t.Run("refuses the name of another ecosystem to "+name, func(t *testing.T) {
			read := &Request{Claims: &claims.Request{IDToken: map[string]*claims.Claim{
				"acr": {Essential: true, Values: []json.RawMessage{json.RawMessage(strconv.Quote(asked))}},
			}}}
			if err := c.authenticationContext(input{client: of(name)}, read); err == nil || oauth.AsError(err).Code != oauth.UnmetAuthentication {
				t.Error(err)
			}
		})
	}
}

// Covers: LP-05. Where the profile demands it, a request asks for some acr, in one of the three ways.
func TestLP05ACRRequired(t *testing.T) {
	c := &Checker{acrs: []string{"strong", "weak"}}
	demands := profile.Profile{Ecosystem: profile.Ecosystem{ACRRequired: true}}
	claim := &claims.Request{IDToken: map[string]*claims.Claim{"acr": {Essential: true}}}
	for _, test := range []struct {
		name       string
		acrValues  string
		registered []string
		wanted     *claims.Request
		code       string
	}{
		{"accepts acr_values", "weak", nil, nil, ""},
		{"accepts what is registered", "", []string{"weak"}, nil, ""},
		{"accepts the claims parameter", "", nil, claim, ""},
		{"refuses a request without", "", nil, nil, oauth.InvalidRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			form, err := oauth.NewForm(url.Values{"acr_values": {test.acrValues}})
			if err != nil {
				t.Fatal(err)
			}
			caller := &client.Client{Profile: demands, Metadata: client.Metadata{DefaultACRValues: test.registered}}
			err = c.authenticationContext(input{client: caller, form: form}, &Request{Claims: test.wanted})
			if code := ""; err != nil && oauth.AsError(err).Code != test.code || err == nil && test.code != code {
				t.Error(err)
			}
		})
	}
}
