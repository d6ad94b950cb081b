package main

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/conformance/bank"
	"countersign/conformance/keys"
	"countersign/conformance/results"
	"countersign/internal/jose"
)

// openBank starts the stand-in of a bank.
func openBank(t *testing.T) *bank.Bank {
	t.Helper()
	opened, err := bank.Listen(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Stop() })
	key, err := jose.NewPrivateKey(jose.PS256)
	if err != nil {
		t.Fatal(err)
	}
	opened.Open(bank.Config{Organisation: "bank-1", Key: key})
	return opened
}

// TestNational: what the suite is told about a plan of each ecosystem, and how its clients are registered.
func TestNational(t *testing.T) {
	opened := openBank(t)
	ca := testAuthority(t)
	s := server{
		issuer: "https://localhost:8443", resource: "https://localhost:8443/accounts", mtlsResource: "https://localhost:8444/accounts",
		username: "alice", password: "secret", approval: "https://localhost:9000/", acr: "urn:acr:best",
		bank: opened, bankOrganisation: "bank-1", consents: "https://localhost:8444", cpf: "76109277673",
	}
	const consents = `https://localhost:8444/open-`
	tests := map[string]struct{ configured, registered []string }{
		"fapi1-adv/openbanking_uk+private_key_jwt+by_value+plain": {
			[]string{`"resourceUrlAccountRequests":"` + consents + `banking/v3.1/aisp/"`, `"resourceUrlAccountsResource":"https://localhost:\d+/open-banking/v3.1/aisp/"`, `"scope":"openid accounts"`, `test-essential-acr-sca-claim`},
			[]string{`"profile":"uk-openbanking/fapi1-advanced"`, `"grant_types":\["authorization_code","refresh_token","client_credentials"\]`, `"jwks_uri":"https://localhost:\d+/clients/alias-1/application.jwks"`},
		},
		"fapi2-sp/openbanking_uk+mtls+mtls+plain_oauth": {
			[]string{`"scope":"accounts"`, `"mtls":`}, []string{`"profile":"uk-openbanking/fapi2-security"`, `"tls_client_auth_subject_dn":"CN=alias-1"`},
		},
		"fapi2-ms/consumerdataright_au+private_key_jwt+mtls+openid_connect+signed+plain": {
			[]string{`"cdrVersion":"1"`, `"resourceUrl":"https://localhost:\d+/cds-au/v1/banking/accounts"`, `"alg":"RSA-OAEP"`, `"allow_unexpected_metadata_fields":\["cdr_arrangement_revocation_endpoint"\]`},
			[]string{`"id_token_encrypted_response_alg":"RSA-OAEP"`, `"profile":"au-cdr/fapi2-message-signing"`},
		},
		"fapi1-adv/openbanking_brazil+private_key_jwt+pushed+plain": {
			[]string{`"consentUrl":"` + consents + `banking/consents/v3/consents"`, `"brazilCpf":"76109277673"`, `"brazilOrganizationId":"bank-1"`, `"productType":"personal"`, `"org_jwks":`},
			[]string{`"id_token_encrypted_response_enc":"A256GCM"`, `"scope":"accounts address consents email openid payments phone profile resources"`, `"token_endpoint_auth_method":"private_key_jwt"`},
		},
		"fapi2-sp/openbanking_brazil+mtls+mtls+openid_connect": {
			[]string{`"consentUrl"`}, []string{`"tls_client_auth_subject_dn":"0.9.2342.19200300.100.1.1=#[0-9a-f]+,2.5.4.97=#[0-9a-f]+,1.3.6.1.4.1.311.60.2.1.3=#[0-9a-f]+,2.5.4.15=#[0-9a-f]+,SERIALNUMBER=43142666000197,CN=alias-1.example,`},
		},
		"fapi1-adv/openbanking_brazil+private_key_jwt+pushed+plain+payments": {
			[]string{`"consentUrl":"` + consents + `banking/payments/v4/consents"`, `"resourceUrl":"https://localhost:\d+/open-banking/payments/v4/pix/payments"`, `"keystore":"https://keystore.sandbox.directory.openbankingbrasil.org.br/"`, `"brazilPixPayment":`, `"scope":"openid payments"`},
			[]string{`"profile":"brazil-openfinance/fapi1-advanced"`},
		},
		"fapi1-adv/openinsurance_brazil+private_key_jwt+pushed+plain": {
			[]string{`"consentUrl":"` + consents + `insurance/consents/v3/consents"`, `keystore.sandbox.directory.opinbrasil.com.br`}, []string{`"profile":"brazil-openinsurance/fapi1-advanced"`},
		},
		"fapi1-adv/openbanking_ksa+private_key_jwt+pushed+plain": {
			[]string{`"resourceUrlAccountRequests":"` + consents + `banking/account-information/json/account-access-consents"`}, []string{`"profile":"ksa-sama/fapi1-advanced"`},
		},
		"fapi2-ms/ksa+mtls+mtls+openid_connect+signed+plain": {
			[]string{`"resourceUrlAccountRequests":"` + consents + `banking/account-information/2024.09.01-final-errata1/account-access-consents"`}, []string{`"profile":"ksa-sama/fapi2-message-signing"`},
		},
		"fapi2-ms/cbuae+private_key_jwt+mtls+openid_connect+rar+signed+plain": {
			[]string{`"richAuthorizationRequest":`}, []string{`"profile":"uae-cbuae/fapi2-message-signing"`, `"authorization_details_types":`},
		},
		"fapi2-ms/connectid_au+private_key_jwt+mtls+openid_connect+signed+plain": {
			[]string{`"scope":"openid"`}, []string{`"subject_type":"pairwise"`, `"scope":"openid"`},
		},
		"fapi-ciba/connectid_au+private_key_jwt+poll+static": {
			[]string{`"login_hint":"alice"`, `"card_primary_account_number":"4111111111111111"`}, []string{`"jwks_uri":`, `"profile":"au-connectid/fapi1-advanced"`, `"authorization_details_types":\["3ds:payment_authorisation"\]`},
		},
		"fapi-ciba/openbanking_brazil+private_key_jwt+ping+static": {
			[]string{`"acr_value":"urn:brasil:openbanking:loa2"`}, []string{`"grant_types":\["urn:openid:params:grant-type:ciba","refresh_token","client_credentials"\]`},
		},
		"fapi-ciba/openbanking_uk+mtls+poll+dynamic": {
			[]string{`"hint_value":"alice"`, `"acr_value":"urn:openbanking:psd2:sca"`}, nil,
		},
		"fapi1-dcr/openbanking_brazil+private_key_jwt+pushed+plain": {
			[]string{`"discoveryUrl":"https://auth.sandbox.directory.openbankingbrasil.org.br/.well-known/openid-configuration"`, `"apibase":"https://matls-api.sandbox.directory.openbankingbrasil.org.br/"`, `"scope":"openid accounts consents"`}, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plans, err := selectPlans(name)
			if err != nil || len(plans) != 1 {
				t.Fatalf("%d plans, %v", len(plans), err)
			}
			p := plans[0]
			one, err := newClient(rand.Reader, p, "alias-1", keys.NewES256, ca, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			clients := []testClient{one, one, one, one} // keys take their time
			finds(t, p.configure(s, "alias", clients), test.configured)
			finds(t, p.registration(s, clients[0], redirectURIs("https://suite.example", "alias")), test.registered)
		})
	}
}

// TestAlgorithms: both clients sign with PS256 where an ecosystem knows nothing else.
func TestAlgorithms(t *testing.T) {
	ca := testAuthority(t)
	for name, want := range map[string]string{
		"fapi-ciba/openbanking_brazil+private_key_jwt+ping+static": "PS256", "fapi-ciba/openbanking_uk+private_key_jwt+poll+static": "ES256",
	} {
		plans, err := selectPlans(name)
		if err != nil {
			t.Fatal(err)
		}
		clients, err := newClients(rand.Reader, plans[0], "alias", ca, time.Now())
		if err != nil || len(clients) != 2 || clients[0].key["alg"] != "PS256" || clients[1].key["alg"] != want {
			t.Errorf("%s: %d clients, %v", name, len(clients), err)
		}
	}
}

// finds reports which patterns are not in what a value is as JSON.
func finds(t *testing.T, value any, patterns []string) {
	t.Helper()
	var encoded strings.Builder
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(encoded.String()) {
			t.Errorf("%s is not in %s", pattern, encoded.String())
		}
	}
}

func testAuthority(t *testing.T) *authority {
	t.Helper()
	certificate, key := newCA(t)
	folder := t.TempDir()
	for name, content := range map[string]string{"ca.crt": certificate, "ca.key": key} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := readAuthority(filepath.Join(folder, "ca.crt"), filepath.Join(folder, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// TestDeployments: plans are run against a server for each ecosystem, whose commands have its configuration.
func TestDeployments(t *testing.T) {
	plans, err := selectPlans("fapi2-ms/ksa*,fapi2-sp/mtls+mtls+plain_oauth,fapi1-adv/openbanking_ksa+mtls*,fapi-ciba/connectid_au*static,fapi1-adv/openinsurance*,fapi1-dcr/openinsurance*")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, d := range deployments(plans) {
		o := d.on(options{
			config: "a.toml", ecosystemConfig: "a.{ecosystem}.toml", user: "alice", cpf: "76109277673", organisation: "bank-1",
			register: "add --config {config}", start: "serve {config}", prepare: "make {ecosystem} {profiles} {user} {organisation} {base} {config}",
		})
		shown = append(shown, strings.Join([]string{d.ecosystem, profiles(d.plans), o.register, o.start, o.prepare, o.user}, "|"))
		if got := d.without(os.ErrClosed); len(got) != len(d.plans) || got[0].Result != results.Interrupted {
			t.Errorf("%+v", got)
		}
	}
	want := []string{
		"|fapi2-security|add --config a.toml|serve a.toml|make  {profiles} alice bank-1 a.toml a.toml|alice",
		"ksa-sama|ksa-sama/fapi1-advanced ksa-sama/fapi2-message-signing|add --config a.ksa-sama.toml|serve a.ksa-sama.toml|make ksa-sama {profiles} 1111111111 bank-1 a.toml a.ksa-sama.toml|1111111111",
		"au-connectid|au-connectid/fapi1-advanced|add --config a.au-connectid.toml|serve a.au-connectid.toml|make au-connectid {profiles} 4111111111111111 bank-1 a.toml a.au-connectid.toml|4111111111111111",
		"brazil-openinsurance|brazil-openinsurance/fapi1-advanced|add --config a.brazil-openinsurance.toml|serve a.brazil-openinsurance.toml|make brazil-openinsurance {profiles} 76109277673 bank-1 a.toml a.brazil-openinsurance.toml|76109277673",
	}
	for _, each := range want {
		if !strings.Contains("\n"+strings.Join(shown, "\n")+"\n", "\n"+each+"\n") {
			t.Errorf("%s is not in\n%s", each, strings.Join(shown, "\n"))
		}
	}
	if len(shown) != len(want)+1 { // one more for those whose clients register with statements
		t.Errorf("%d deployments", len(shown))
	}
}

// TestNeedsDirectory: plans that reach a directory by fixed names say which line the hosts file needs.
func TestNeedsDirectory(t *testing.T) {
	for plans, says := range map[string]string{
		"fapi1-dcr/openbanking*":                 "127.0.0.1 auth.sandbox.directory.openbankingbrasil.org.br matls-api.sandbox.directory.openbankingbrasil.org.br keystore.sandbox.directory.openbankingbrasil.org.br",
		"fapi1-dcr/openinsurance*":               "keystore.sandbox.directory.opinbrasil.com.br",
		"fapi1-adv/openbanking_brazil*+payments": "-directory 127.0.0.1:443",
	} {
		if code, said := newBench(t, nil).run(t, "-plans", plans, "-start", "", "-outbound-ca", ""); code != 2 || !strings.Contains(said, says) {
			t.Errorf("code %d: %s", code, said)
		}
	}
}

// TestOwnConfiguration: the plans of an ecosystem are not run against a server that is started without its configuration.
func TestOwnConfiguration(t *testing.T) {
	if code, said := newBench(t, nil).run(t, "-plans", "fapi2-ms/cbuae*", "-start", "true"); code != 2 || !strings.Contains(said, "{config} is missing") {
		t.Errorf("code %d: %s", code, said)
	}
	if code, said := newBench(t, nil).run(t, "-plans", "fapi2-ms/cbuae*", "-start", "true {config}", "-prepare", "false {profiles}"); code != 2 || !strings.Contains(said, "-prepare: false uae-cbuae/fapi2-message-signing") {
		t.Errorf("code %d: %s", code, said)
	}
	if code, said := newBench(t, nil).run(t, "-consents", "nobody"); code != 2 || !strings.Contains(said, "neither server nor bank") {
		t.Errorf("code %d: %s", code, said)
	}
}

// TestTrustStandIn: the authority of a stand-in takes the place of an earlier one, and no other is lost.
func TestTrustStandIn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "outbound.crt")
	kept, _ := newCA(t)
	if err := os.WriteFile(file, []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		opened, err := bank.Listen(time.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Stop()
		if err := trustStandIn(options{outboundCA: file}, opened.Authority()); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for rest := content; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, certificate.Subject.CommonName)
		}
		if got := strings.Join(names, ","); got != "Clients,Stand-in" || !strings.HasSuffix(string(content), string(opened.Authority())) {
			t.Errorf("%s", got)
		}
	}
	if err := trustStandIn(options{outboundCA: "/nowhere"}, nil); err == nil {
		t.Error("a file that is not there")
	}
}
