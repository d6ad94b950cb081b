// Package operators is the part of the configuration about the admin API: its listener, and who may do what there.
package operators

import (
	"fmt"
	"net"
	"strings"
	"unicode"

	"countersign/internal/config/value"
	"countersign/mtls/dn"
)

// Admin is the table [admin].
type Admin struct {
	Listen          string         `toml:"listen" reload:"live" doc:"Host and port of the admin API, such as 10.1.2.3:9443; empty turns it off. It is never on the listeners for clients and browsers, and always TLS that asks for a certificate."`
	CertificateFile value.File     `toml:"certificate_file" reload:"live" doc:"TLS certificate chain of that listener, PEM, leaf first. Read again when it changes."`
	KeyFile         value.Secret   `toml:"key_file" reload:"live" doc:"Private key of that certificate, PEM."`
	ClientCAFile    value.File     `toml:"client_ca_file" reload:"live" doc:"Certificate authorities, PEM, of the certificates of operators. Read again when it changes: an authority that is left out is not trusted from then on."`
	Revocation      string         `toml:"revocation" reload:"live" default:"off" enum:"off,soft,hard" doc:"Whether certificates of operators are looked up in CRLs and by OCSP: soft accepts a certificate when no source can be reached, hard does not."`
	CRLFile         value.File     `toml:"crl_file" reload:"live" doc:"Certificate revocation lists, PEM, of those authorities, kept fresh by you. Asked before the addresses in the certificates; read again when it changes."`
	PerMinute       int            `toml:"per_minute" reload:"live" lax:"more" default:"600" min:"10" max:"60000" doc:"How many requests a minute one operator may make on a node, after a burst of a tenth of them."`
	ApprovalsLast   value.Duration `toml:"approvals_last" reload:"live" default:"1h" min:"1m" max:"7d" doc:"How long a request that needs four eyes (keys, erasing a user) waits for another security officer, and after the approval for its being carried out."`

	Operators []Operator `toml:"operators" reload:"live" doc:"Who may use the API: by certificates, each with roles. Nobody else may."`
}

// Operator is one who administers.
type Operator struct {
	Name            string     `toml:"name" required:"true" doc:"Who it is, in the audit log; one person or one program, since a name approves nothing that it has asked for itself."`
	CertificateDN   string     `toml:"certificate_dn" doc:"Subject (RFC 4514) of the operator's certificate."`
	CertificateFile value.File `toml:"certificate_file" doc:"The operator's certificate, PEM, in place of certificate_dn; two during a change. An authority of admin.client_ca_file has issued it, or it is one of those itself."`
	Roles           string     `toml:"roles" required:"true" doc:"What the operator may do, separated by spaces: reader looks at everything; client_manager also manages clients and initial access tokens; security_officer also disables clients, ends grants and consents, manages users, and asks for and approves what needs four eyes. Each of the two reads, too."`
}

// Problem is what is wrong with a key.
type Problem struct {
	// Key is that of the table, Value what it has, in words for people.
	Key, Value, Text string
}

// Roles are those that an operator may have.
func Roles() []string { return []string{"reader", "client_manager", "security_officer"} }

// Problems lists what is wrong.
func (a Admin) Problems() (problems []Problem) {
	add := func(key, value, text string) { problems = append(problems, Problem{key, value, text}) }
	files := []struct{ key, value string }{
		{"certificate_file", string(a.CertificateFile)}, {"key_file", string(a.KeyFile)}, {"client_ca_file", string(a.ClientCAFile)},
	}
	if a.CRLFile != "" && (a.Listen == "" || a.Revocation == "" || a.Revocation == "off") {
		text := "is not asked while admin.revocation is off; set it to soft or hard"
		if a.Listen == "" {
			text = "has no meaning without admin.listen; set it too"
		}
		add("crl_file", string(a.CRLFile), text)
	}
	if a.Listen == "" {
		for _, file := range files {
			if file.value != "" {
				add(file.key, "", "has no meaning without admin.listen; set it too")
			}
		}
		if len(a.Operators) > 0 {
			add("listen", "", "is empty: where may the operators of [[admin.operators]] come?")
		}
		return problems
	}
	if _, port, err := net.SplitHostPort(a.Listen); err != nil || port == "" || strings.HasPrefix(a.Listen, "unix:") {
		add("listen", a.Listen, `not a host and a port, such as "127.0.0.1:9443"`)
	}
	for _, file := range files {
		if file.value == "" {
			add(file.key, "", "missing: the admin API is TLS alone, and only for whoever has a certificate")
		}
	}
	if len(a.Operators) == 0 {
		add("operators", "", "missing: without [[admin.operators]] nobody may use the admin API")
	}
	return append(problems, a.operators()...)
}

// operators lists what is wrong with those.
func (a Admin) operators() (problems []Problem) {
	names, subjects := map[string]bool{}, []dn.Name{}
	for i, operator := range a.Operators {
		add := func(key, value, text string) {
			problems = append(problems, Problem{fmt.Sprintf("operators[%d].%s", i, key), value, text})
		}
		switch folded := strings.ToLower(operator.Name); {
		case operator.Name == "":
		case !usable(operator.Name):
			add("name", operator.Name, "must be up to 100 bytes without control characters and without space around it")
		case names[folded]:
			add("name", operator.Name, "names another operator already: four eyes would be two")
		default:
			names[folded] = true
		}
		for role := range strings.FieldsSeq(operator.Roles) {
			if !known(role) {
				add("roles", role, "must be of "+strings.Join(Roles(), ", "))
			}
		}
		if (operator.CertificateDN == "") == (operator.CertificateFile == "") {
			add("certificate_dn", operator.CertificateDN, "give one of certificate_dn and certificate_file: by it the operator is known")
			continue
		}
		if operator.CertificateDN == "" {
			continue
		}
		subject, err := dn.Parse(operator.CertificateDN)
		if err != nil {
			add("certificate_dn", operator.CertificateDN, "not a name of RFC 4514: "+err.Error())
			continue
		}
		for _, other := range subjects {
			if other.Equal(subject) {
				add("certificate_dn", operator.CertificateDN, "is that of another operator already")
			}
		}
		subjects = append(subjects, subject)
	}
	return problems
}

func known(role string) bool {
	for _, one := range Roles() {
		if one == role {
			return true
		}
	}
	return false
}

func usable(name string) bool {
	return len(name) <= 100 && name == strings.TrimSpace(name) && !strings.ContainsFunc(name, unicode.IsControl)
}
