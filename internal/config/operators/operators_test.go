package operators

import (
	"slices"
	"strings"
	"testing"
)

// whole is a configuration with nothing wrong.
func whole() Admin {
	return Admin{
		Listen: "10.1.2.3:9443", CertificateFile: "a.crt", KeyFile: "a.key", ClientCAFile: "ca.crt",
		Operators: []Operator{
			{Name: "Ada", CertificateDN: "CN=ada,O=Bank", Roles: "security_officer"}, {Name: "Bob", CertificateFile: "bob.crt", Roles: "reader client_manager"},
		},
	}
}

// Covers: NM-42. Nobody comes without a certificate, or as two; each problem names its key.
func TestNM42Problems(t *testing.T) {
	t.Run("accepts what is whole, and nothing", func(t *testing.T) {
		if problems := whole().Problems(); len(problems) > 0 {
			t.Errorf("%v", problems)
		}
		if problems := (Admin{}).Problems(); len(problems) > 0 {
			t.Errorf("%v", problems)
		}
	})
	for name, test := range map[string]struct {
		change func(*Admin)
		key    string
	}{
		"no certificate":              {func(a *Admin) { a.CertificateFile = "" }, "certificate_file"},
		"no key":                      {func(a *Admin) { a.KeyFile = "" }, "key_file"},
		"no client authorities":       {func(a *Admin) { a.ClientCAFile = "" }, "client_ca_file"},
		"no address that is one":      {func(a *Admin) { a.Listen = "everywhere" }, "listen"},
		"a socket":                    {func(a *Admin) { a.Listen = "unix:/run/admin" }, "listen"},
		"nobody":                      {func(a *Admin) { a.Operators = nil }, "operators"},
		"operators without a place":   {func(a *Admin) { a.Listen = "" }, "listen"},
		"a file without a place":      {func(a *Admin) { *a = Admin{CertificateFile: "a.crt"} }, "certificate_file"},
		"two of one name":             {func(a *Admin) { a.Operators[1].Name = "ADA" }, "operators[1].name"},
		"a name with a line break":    {func(a *Admin) { a.Operators[1].Name = "a\nb" }, "operators[1].name"},
		"two of one certificate":      {func(a *Admin) { a.Operators[1] = Operator{Name: "B", CertificateDN: "cn=ADA, o=bank", Roles: "reader"} }, "operators[1].certificate_dn"},
		"a role that there is not":    {func(a *Admin) { a.Operators[0].Roles = "admin" }, "operators[0].roles"},
		"a certificate in two ways":   {func(a *Admin) { a.Operators[0].CertificateFile = "x.crt" }, "operators[0].certificate_dn"},
		"no way to know the operator": {func(a *Admin) { a.Operators[0].CertificateDN = "" }, "operators[0].certificate_dn"},
		"a name that is none":         {func(a *Admin) { a.Operators[0].CertificateDN = "ada" }, "operators[0].certificate_dn"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			a := whole()
			test.change(&a)
			problems := a.Problems()
			if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Key == test.key && strings.TrimSpace(p.Text) != "" }) {
				t.Errorf("%v, want %s", problems, test.key)
			}
		})
	}
}

// Covers: NM-155. Lists of revoked certificates are given with how they are looked up, or refused by name.
func TestNM155Revocation(t *testing.T) {
	of := func(change func(*Admin)) bool {
		a := whole()
		change(&a)
		return slices.ContainsFunc(a.Problems(), func(p Problem) bool { return p.Key == "crl_file" && p.Text != "" })
	}
	for _, mode := range []string{"soft", "hard"} {
		t.Run("accepts a list with "+mode, func(t *testing.T) {
			if of(func(a *Admin) { a.CRLFile, a.Revocation = "operators.crl", mode }) {
				t.Error("refused")
			}
		})
	}
	for name, change := range map[string]func(*Admin){
		"while nothing is looked up": func(a *Admin) { a.CRLFile, a.Revocation = "operators.crl", "off" },
		"without a listener":         func(a *Admin) { *a = Admin{CRLFile: "operators.crl", Revocation: "hard"} },
	} {
		t.Run("refuses a list "+name, func(t *testing.T) {
			if !of(change) {
				t.Error("accepted")
			}
		})
	}
}
