package arch

import "slices"

// Package is a line of the import table.
type Package struct {
	// Path is the folder, from the root of the module.
	Path string
	// Imports are the packages of ours that it imports, tests aside; Everything stands alone.
	Imports []string
}

// Everything lets a package import all of ours.
const Everything = "*"

// Group is a part of the table that belongs together, from the top down.
type Group struct {
	Title    string
	Packages []Package
}

// Table is the import table. A package that is missing here fails the test: a new package needs a line, and with it a
// thought.
func Table() []Group {
	return []Group{
		{"The program", program()},
		{"The authorization server", server()},
		{"Protocols, for others to import", protocols()},
		{"Relying parties, for others to import", relyingParties()},
		{"Keys", keys()},
		{"State", state()},
		{"Shared, each for one thing", shared()},
		{"Tests, measurements, examples", around()},
	}
}

// Lookup finds the line of a package.
func Lookup(path string) (Package, bool) {
	for _, group := range Table() {
		if at := slices.IndexFunc(group.Packages, func(p Package) bool { return p.Path == path }); at >= 0 {
			return group.Packages[at], true
		}
	}
	return Package{}, false
}

func program() []Package {
	return []Package{
		{"cmd/countersign", []string{Everything}},
		{"internal/config", []string{
			"fapi/claims", "fapi/profile", "fapi/rar/ready", "internal/config/asked", "internal/config/caches",
			"internal/config/filename", "internal/config/issuers", "internal/config/observe", "internal/config/operators",
			"internal/config/position", "internal/config/signin", "internal/config/storage", "internal/config/value", "internal/suggest",
		}},
		{"internal/config/asked", []string{"internal/config/value"}},
		{"internal/config/operators", []string{"internal/config/value", "mtls/dn"}},
		{"internal/config/caches", nil},
		{"internal/config/storage", []string{"internal/config/value"}},
		{"internal/config/certificates", []string{"internal/config/value"}},
		{"internal/config/change", []string{"internal/config/value"}},
		{"internal/config/filename", nil},
		{"internal/config/issuers", []string{"internal/config/value"}},
		{"internal/config/observe", []string{"internal/config/value"}},
		{"internal/config/position", nil},
		{"internal/config/signin", []string{"fapi/claims", "internal/config/value", "internal/suggest"}},
		{"internal/config/value", nil},
		{"internal/pages", []string{
			"fapi/account", "fapi/authorize", "fapi/backchannel", "fapi/browser", "fapi/device", "fapi/logout", "fapi/rar/display", "fapi/scope",
			"internal/brand", "internal/oauth", "internal/words", "fapi/managed",
		}},
		{"internal/adminconsole", []string{
			"fapi/browser", "fapi/rar", "fapi/rar/display", "fapi/tokens", "internal/audit", "internal/auditlog", "internal/correlation",
			"internal/pages", "internal/why", "store",
		}},
		{"internal/brand", nil},
		{"internal/words", []string{"internal/suggest"}},
		{"internal/directory", []string{"internal/limit", "internal/queue", "internal/random", "store"}},
		{"internal/auditlog", []string{"internal/audit", "internal/jose", "internal/pause", "signer", "store"}},
		{"internal/telemetry", []string{"internal/address", "internal/correlation"}},
		{"internal/metrics", []string{"fapi/event", "internal/audit", "internal/fips", "signer", "store"}},
		{"internal/why", []string{"fapi/event", "internal/oauth", "internal/pause", "store"}},
		{"internal/watchcommands", []string{
			"internal/admin", "internal/availability", "internal/console", "internal/issuers/flag", "internal/usercommands", "internal/why", "store",
		}},
		{"internal/checkcommands", []string{
			"fapi", "fapi/examine", "internal/admin", "internal/config", "internal/console", "internal/hsm", "internal/serve",
			"internal/usercommands", "mtls", "signer", "store",
		}},
		{"internal/availability", []string{"fapi/event", "internal/chart", "internal/pause", "store"}},
		{"internal/observing", []string{
			"fapi/event", "internal/auditlog", "internal/availability", "internal/config", "internal/config/certificates",
			"internal/config/observe", "internal/listening", "internal/metrics", "internal/reread", "internal/why", "mtls", "signer", "store",
		}},
		{"internal/listening", []string{"internal/config/value"}},
		{"internal/listening/ports", []string{"internal/listening"}},
		{"internal/noted", []string{"internal/config/change", "internal/wholefile"}},
		{"internal/listening/bounded", []string{"internal/address"}},
		{"internal/memory", []string{"internal/directory", "internal/pause"}},
		{"internal/reread", []string{"internal/config/change", "internal/config/value", "internal/pause"}},
		{"internal/dashboards", nil},
		{"internal/dashboards/generate", []string{"internal/dashboards"}},
		{"internal/demo", []string{"internal/flowclient", "internal/jose", "rp/client"}},
		{"internal/console", nil},
		{"internal/suggest", nil},
		{"internal/devsetup", []string{
			"ciba", "internal/admin", "internal/ceremony", "internal/config", "internal/database", "internal/hsm",
			"internal/jose", "internal/wholefile", "signer", "signer/pkcs11", "softhsm", "store",
		}},
		{"internal/capacity", []string{"internal/config"}},
		{"internal/condition", []string{"internal/pause", "store"}},
		{"internal/branding", []string{"internal/brand", "internal/config", "internal/pages", "internal/words"}},
		{"internal/clienttrust", []string{"internal/config", "internal/config/certificates", "internal/outbound", "internal/reread", "mtls"}},
		{"internal/sample", []string{"fapi/resource"}},
		{"internal/issuers/flag", nil},
		{"internal/hosts", nil},
		{"internal/issuers", []string{"internal/config", "internal/config/issuers", "internal/hsm", "signer/pkcs11/rfc7512"}},
		{"internal/issuing", []string{"internal/config", "internal/config/change", "internal/hosts", "internal/issuers", "internal/oauth", "internal/reread", "store"}},
		{"internal/hsm", []string{"internal/config", "internal/pause", "signer", "signer/crypto11", "signer/pkcs11", "signer/soft", "store"}},
		{"internal/buildinfo", []string{"internal/fips"}},
		{"internal/fips", nil},
		{"internal/systemd", nil},
		{"internal/layout", []string{"internal/console"}},
		{"internal/setupcommands", []string{
			"internal/admin", "internal/buildinfo", "internal/config", "internal/config/issuers", "internal/console", "internal/database", "internal/devsetup",
			"internal/hsm", "internal/layout", "internal/usercommands",
		}},
		{"internal/serve", []string{
			"ciba", "fapi", "fapi/account", "fapi/authorize", "fapi/backchannel", "fapi/browser", "fapi/claims", "fapi/client",
			"fapi/consent", "fapi/consent/notify", "fapi/consents", "fapi/consents/shape", "fapi/device", "fapi/directories", "fapi/endpoint", "fapi/login",
			"fapi/rar", "fapi/rar/display", "fapi/rar/ready", "fapi/registration", "fapi/request", "fapi/scope",
			"internal/address", "internal/handshakes", "internal/adminconsole", "internal/adminlistener", "internal/admin", "internal/audit", "internal/auditlog", "internal/branding",
			"internal/capacity", "internal/ceremony", "internal/claimsource", "internal/clienttrust", "internal/condition", "internal/config", "internal/config/certificates", "internal/config/change",
			"internal/config/value", "internal/consentsource", "internal/database", "internal/directory", "internal/fips", "internal/hosts", "internal/hsm",
			"internal/issuers", "internal/issuing", "internal/jose", "internal/limit",
			"internal/listening/bounded", "internal/listening/ports", "internal/memory", "internal/noted", "internal/oauth", "internal/observing", "internal/outbound", "internal/pages", "internal/pause", "internal/repeat",
			"internal/reread", "internal/sample", "internal/systemd", "internal/telemetry", "mtls", "store", "fapi/upstream", "internal/signin", "signer",
		}},
		{"internal/signin", []string{"fapi/upstream", "internal/config", "internal/outbound", "mtls", "rp/client", "signer"}},
		{"internal/ceremony", []string{
			"internal/config", "internal/console", "internal/hsm", "internal/jose", "internal/pause", "internal/strictjson",
			"signer", "signer/pkcs11", "store",
		}},
		{"internal/database", []string{"internal/config", "store", "store/postgres", "store/sqlite"}},
		{"internal/admin/fault", []string{"store"}},
		{"internal/admin/moment", nil},
		{"internal/admin", []string{
			"fapi/client", "fapi/device", "fapi/profile", "fapi/registration", "internal/admin/fault", "internal/admin/moment", "internal/audit",
			"internal/directory", "internal/jose", "internal/strictjson", "internal/suggest", "internal/userimport", "store",
		}},
		{"internal/adminapi/access", []string{
			"internal/address", "internal/admin/fault", "internal/correlation", "internal/limit", "internal/random", "mtls", "mtls/dn", "signer", "store",
		}},
		{"internal/adminapi", []string{
			"internal/admin", "internal/admin/fault", "internal/adminapi/access", "internal/audit", "internal/auditlog", "internal/ceremony", "internal/correlation",
			"internal/directory", "internal/jose", "internal/random", "internal/strictjson", "internal/userimport", "signer", "store",
		}},
		{"internal/adminlistener", []string{
			"internal/admin", "internal/adminapi", "internal/adminapi/access", "internal/adminconsole", "internal/ceremony",
			"internal/clienttrust", "internal/config", "internal/config/certificates", "internal/config/operators",
			"internal/directory", "internal/jose", "mtls", "signer", "store",
		}},
		{"internal/operations", []string{
			"internal/admin", "internal/admin/fault", "internal/console", "internal/jose", "internal/strictjson", "store",
		}},
		{"internal/usercommands", []string{
			"fapi/upstream", "internal/admin", "internal/config", "internal/console", "internal/operations", "internal/serve",
			"internal/strictjson", "internal/userimport", "store",
		}},
		{"internal/userimport", []string{"fapi/claims", "internal/strictjson", "internal/suggest"}},
		{"internal/claimsource", []string{"fapi/rar/display",
			"fapi/claims", "internal/askline", "internal/correlation", "internal/outbound", "internal/queue", "internal/strictjson",
		}},
		{"internal/consentsource", []string{
			"fapi/consent", "internal/askline", "internal/correlation", "internal/outbound", "internal/queue", "internal/strictjson", "store",
		}},
		{"internal/askline", []string{"internal/outbound", "internal/queue"}},
		{"internal/doctor", []string{
			"fapi/claims", "fapi/consent", "fapi/directories", "fapi/upstream", "internal/admin", "internal/buildinfo",
			"internal/capacity", "internal/ceremony", "internal/config", "internal/config/value", "internal/console", "internal/database", "internal/fips",
			"internal/hsm", "internal/listening", "internal/outbound", "internal/serve", "mtls", "mtls/dn", "rp/client", "signer",
			"softhsm", "store",
		}},
		{"internal/logs", nil},
		{"internal/finding", nil},
		{"internal/logs/generate", []string{"internal/logs"}},
		{"internal/strictjson", nil},
		{"mtls/dn", nil},
		{"mtls/internal/proxyheader", nil},
		{"mtls/internal/xfcc", nil},
		{"mtls/internal/keykind", nil},
	}
}

func server() []Package {
	return []Package{
		{"fapi", []string{"fapi/offers",
			"ciba", "dpop", "fapi/account", "fapi/authorize", "fapi/backchannel", "fapi/browser", "fapi/claims", "fapi/client",
			"fapi/consent", "fapi/consent/notify", "fapi/consents", "fapi/consents/shape", "fapi/device", "fapi/directories",
			"fapi/discovery", "fapi/endpoint", "fapi/event", "fapi/examine", "fapi/health", "fapi/login", "fapi/logout", "fapi/profile", "fapi/rar",
			"fapi/rar/display", "fapi/registration", "fapi/request", "fapi/resource", "fapi/scope", "fapi/token", "fapi/tokens",
			"internal/jose", "internal/limit", "internal/outbound", "internal/passkey", "internal/repeat", "internal/set", "mtls",
			"signer", "store", "fapi/grants", "fapi/upstream",
		}},
		{"fapi/authorize", []string{"fapi/authorize/handoff", "fapi/authorize/object", "fapi/offers",
			"fapi/authorize/page", "fapi/browser", "fapi/claims", "fapi/client", "fapi/consent", "fapi/decrypt", "fapi/endpoint",
			"fapi/event", "fapi/rar", "fapi/rar/display", "fapi/request", "fapi/scope", "fapi/tokens", "internal/audit",
			"internal/jose", "internal/limit", "internal/oauth", "internal/passkey", "internal/random", "internal/recent", "jar",
			"signer", "store", "fapi/managed",
		}},
		{"fapi/authorize/handoff", []string{
			"fapi/browser", "fapi/endpoint", "fapi/rar", "fapi/rar/display", "fapi/request", "internal/oauth", "store",
		}},
		{"fapi/authorize/object", []string{
			"fapi/client", "fapi/decrypt", "fapi/endpoint", "fapi/profile", "internal/audit", "internal/finding", "internal/jose", "internal/oauth",
			"jar", "signer",
		}},
		{"fapi/assertion", []string{"fapi/client", "fapi/profile", "internal/finding", "internal/jose", "internal/oauth", "store"}},
		{"fapi/examine", []string{
			"dpop", "fapi/assertion", "fapi/authorize/object", "fapi/client", "fapi/consent", "fapi/endpoint", "fapi/profile", "fapi/request",
			"internal/finding", "internal/jose", "internal/oauth", "jar", "mtls", "mtls/dn", "signer", "store",
		}},
		{"fapi/offers", []string{"fapi/browser", "fapi/claims", "fapi/rar", "fapi/rar/display", "internal/correlation", "internal/oauth"}},
		{"fapi/authorize/page", []string{"fapi/browser", "fapi/client", "fapi/consent", "fapi/profile", "fapi/request", "fapi/scope", "fapi/tokens"}},
		{"fapi/consent", []string{
			"fapi/claims", "fapi/client", "fapi/consent/notify", "fapi/event", "fapi/profile", "fapi/rar", "fapi/rar/display",
			"internal/oauth", "store",
		}},
		{"fapi/consent/notify", []string{"fapi/event", "fapi/tokens", "internal/delivery", "store"}},
		{"fapi/token", []string{
			"fapi/claims", "fapi/endpoint", "fapi/event", "fapi/profile", "fapi/rar", "fapi/request", "fapi/tokens", "internal/oauth",
			"internal/random", "mtls", "store",
		}},
		{"fapi/backchannel", []string{"fapi/offers",
			"ciba", "fapi/browser", "fapi/claims", "fapi/client", "fapi/consent", "fapi/decrypt", "fapi/endpoint", "fapi/event",
			"fapi/profile", "fapi/rar", "fapi/rar/display", "fapi/request", "fapi/scope", "fapi/tokens", "internal/audit",
			"internal/jose", "internal/limit", "internal/oauth", "internal/random", "internal/set", "signer", "store", "fapi/managed",
		}},
		{"fapi/device", []string{
			"dpop", "fapi/backchannel", "fapi/browser", "fapi/device/webpush", "fapi/endpoint", "fapi/event", "fapi/managed", "fapi/rar/display",
			"internal/httpsig", "internal/limit", "internal/oauth", "internal/outbound", "internal/passkey", "internal/random", "signer", "store",
		}},
		{"fapi/account", []string{
			"fapi/browser", "fapi/claims", "fapi/client", "fapi/consent", "fapi/endpoint", "fapi/event", "fapi/rar", "fapi/rar/display", "fapi/resource",
			"fapi/scope", "fapi/tokens", "internal/limit", "internal/oauth", "store",
		}},
		{"fapi/consents", []string{
			"fapi/client", "fapi/consent", "fapi/consents/shape", "fapi/endpoint", "fapi/event", "fapi/resource", "fapi/tokens", "internal/audit",
			"internal/jose", "internal/jose/detached", "internal/oauth", "internal/random", "mtls", "mtls/dn", "signer", "store",
		}},
		{"internal/jose/detached", []string{"internal/jose", "internal/strictjson"}},
		{"fapi/grants", []string{
			"fapi/consent", "fapi/endpoint", "fapi/event", "fapi/profile", "fapi/rar", "fapi/resource", "fapi/tokens", "internal/oauth", "store",
		}},
		{"fapi/managed", []string{"fapi/rar", "fapi/rar/display", "fapi/request", "fapi/scope"}},
		{"fapi/consents/shape", []string{"fapi/rar", "fapi/rar/ready", "internal/strictjson", "store"}},
		{"fapi/device/webpush", []string{
			"fapi/event", "internal/jose", "internal/oauth", "internal/outbound", "signer", "store",
		}},
		{"fapi/logout", []string{
			"fapi/browser", "fapi/client", "fapi/endpoint", "fapi/event", "fapi/tokens", "internal/delivery", "internal/oauth",
			"internal/random", "store",
		}},
		{"fapi/resource", []string{
			"dpop", "fapi/claims", "fapi/client", "fapi/endpoint", "fapi/event", "fapi/profile", "fapi/rar", "fapi/scope", "fapi/tokens",
			"internal/audit", "internal/httpsig", "internal/jose", "internal/oauth", "internal/presented", "internal/random", "internal/set", "mtls", "signer", "store",
		}},
		{"fapi/login", []string{
			"fapi/authorize", "fapi/backchannel", "fapi/browser", "fapi/endpoint", "fapi/rar/display", "fapi/resource", "fapi/scope",
			"internal/oauth", "internal/outbound", "internal/strictjson", "mtls", "fapi/managed", "fapi/upstream",
		}},
		{"fapi/upstream", []string{
			"fapi/authorize", "fapi/browser", "fapi/endpoint", "fapi/event", "fapi/tokens", "internal/oauth", "internal/random", "rp/client", "rp/session", "store",
		}},
		{"fapi/registration", []string{
			"fapi/client", "fapi/directories", "fapi/endpoint", "fapi/event", "fapi/profile", "fapi/statement", "internal/jose",
			"internal/oauth", "internal/outbound", "internal/random", "internal/strictjson", "mtls", "mtls/dn", "signer", "store",
		}},
		{"fapi/directories", []string{
			"fapi/client", "fapi/event", "fapi/profile", "fapi/statement", "internal/jose", "internal/oauth", "internal/outbound",
			"internal/pause", "internal/strictjson", "store",
		}},
		{"fapi/statement", []string{
			"fapi/client", "fapi/profile", "internal/jose", "internal/oauth", "internal/strictjson", "mtls/dn", "store",
		}},
		{"fapi/discovery", []string{
			"fapi/claims/verified", "fapi/client", "fapi/endpoint", "fapi/profile", "fapi/rar", "fapi/request", "fapi/scope",
			"internal/jose", "internal/set", "signer",
		}},
		{"fapi/health", []string{"fapi/endpoint", "fapi/event", "signer", "store"}},
		{"fapi/request", []string{"fapi/rar/display",
			"fapi/claims", "fapi/client", "fapi/profile", "fapi/rar", "fapi/scope", "fapi/tokens", "internal/oauth", "internal/set",
			"internal/finding", "internal/strictjson", "internal/random", "store",
		}},
		{"fapi/tokens", []string{"fapi/rar/display",
			"fapi/claims", "fapi/client", "fapi/event", "fapi/profile", "fapi/rar", "fapi/scope", "internal/audit",
			"internal/jose", "internal/oauth", "internal/random", "jar", "signer", "store",
		}},
		{"fapi/browser", []string{
			"fapi/endpoint", "fapi/event", "fapi/rar/display", "internal/oauth", "internal/passkey", "internal/random", "store",
		}},
		{"fapi/endpoint", []string{
			"dpop", "fapi/assertion", "fapi/client", "fapi/event", "fapi/profile", "internal/address", "internal/finding", "internal/jose", "internal/limit",
			"internal/oauth", "internal/queue", "mtls", "signer", "store",
		}},
		{"fapi/event", []string{
			"internal/address", "internal/audit", "internal/correlation", "internal/jose", "internal/oauth", "internal/queue",
			"internal/random", "internal/repeat", "store",
		}},
		{"fapi/client", []string{
			"fapi/profile", "fapi/scope", "internal/jose", "internal/outbound", "internal/set",
			"internal/strictjson", "jar", "mtls", "mtls/dn", "store",
		}},
		{"fapi/claims", []string{"fapi/rar/display",
			"fapi/claims/verified", "fapi/profile", "internal/correlation", "internal/limit", "internal/oauth", "internal/strictjson",
			"internal/suggest", "store",
		}},
		{"fapi/claims/verified", []string{"internal/oauth", "internal/strictjson"}},
		{"fapi/decrypt", []string{"fapi/profile", "internal/jose", "internal/oauth", "signer"}},
		{"fapi/rar", []string{"fapi/rar/display", "internal/oauth", "internal/strictjson"}},
		{"fapi/rar/display", []string{"fapi/scope", "internal/words"}},
		{"fapi/rar/ready", nil},
		{"fapi/profile", []string{"internal/set", "internal/suggest"}},
		{"fapi/scope", []string{"fapi/profile"}},
	}
}

func protocols() []Package {
	return []Package{
		{"ciba", []string{"internal/correlation", "internal/delivery", "internal/requestobject", "internal/strictjson", "jar"}},
		{"jar", []string{"internal/finding", "internal/jose", "internal/requestobject"}},
		{"dpop", []string{"internal/finding", "internal/jose"}},
		{"mtls", []string{"internal/finding", "mtls/dn", "mtls/internal/keykind", "mtls/internal/proxyheader", "mtls/internal/xfcc"}},
		{"rs", []string{
			"dpop", "internal/httpsig", "internal/jose", "internal/keyset", "internal/oauth", "internal/presented", "internal/random",
			"internal/set", "internal/strictjson", "mtls",
		}},
		{"rs/grpcauth", []string{"rs"}},
		{"rs/sqlreplay", []string{"rs"}},
	}
}

func keys() []Package {
	return []Package{
		{"signer", []string{"internal/jose", "internal/queue"}},
		{"signer/pkcs11", []string{
			"internal/pause", "internal/queue", "signer", "signer/internal/inturn", "signer/pkcs11/attest", "signer/pkcs11/internal/pin", "signer/pkcs11/internal/token",
			"signer/pkcs11/internal/wire", "signer/pkcs11/internal/worker", "signer/pkcs11/rfc7512",
		}},
		{"signer/internal/inturn", []string{"internal/queue", "signer"}},
		{"signer/crypto11", []string{"internal/queue", "signer", "signer/internal/inturn", "signer/pkcs11"}},
		{"signer/soft", []string{"internal/wholefile", "signer", "signer/pkcs11"}},
		{"signer/signertest", []string{"signer", "signer/pkcs11"}},
		{"softhsm", nil},
		{"signer/pkcs11/internal/pin", []string{"internal/wholefile", "signer/pkcs11/internal/wire"}},
		{"signer/pkcs11/internal/wire", []string{"signer"}},
		{"signer/pkcs11/internal/worker", []string{
			"signer/pkcs11/attest", "signer/pkcs11/internal/token", "signer/pkcs11/internal/wire",
		}},
		{"signer/pkcs11/selfworker", []string{"signer/pkcs11/internal/worker"}},
		{"signer/pkcs11/rfc7512", nil},
		{"signer/pkcs11/internal/token", []string{
			"signer", "signer/pkcs11/attest", "signer/pkcs11/internal/pin", "signer/pkcs11/internal/wire",
			"signer/pkcs11/rfc7512",
		}},
	}
}

func state() []Package {
	return []Package{
		{"store", nil},
		{"store/sqlite", []string{
			"store", "store/internal/backend", "store/sqlite/internal/account", "store/sqlite/internal/approvals", "store/sqlite/internal/auditlog",
			"store/sqlite/internal/connection", "store/sqlite/internal/consents", "store/sqlite/internal/dbfile",
			"store/sqlite/internal/directories", "store/sqlite/internal/figures", "store/sqlite/internal/keys", "store/sqlite/internal/lists", "store/sqlite/internal/managed",
			"store/sqlite/internal/outbox",
			"store/sqlite/internal/signout", "store/sqlite/internal/sweep",
		}},
		{"store/postgres", []string{
			"internal/pause", "internal/queue", "store", "store/internal/backend", "store/postgres/internal/account",
			"store/postgres/internal/allowance", "store/postgres/internal/approvals", "store/postgres/internal/auditlog", "store/postgres/internal/clock",
			"store/postgres/internal/consents", "store/postgres/internal/directories", "store/postgres/internal/figures",
			"store/postgres/internal/fill", "store/postgres/internal/handoffs", "store/postgres/internal/keys", "store/postgres/internal/listener", "store/postgres/internal/lists",
			"store/postgres/internal/managed",
			"store/postgres/internal/named", "store/postgres/internal/outbox", "store/postgres/internal/partition",
			"store/postgres/internal/pipeline", "store/postgres/internal/pool", "store/postgres/internal/purge",
			"store/postgres/internal/signout",
		}},
		{"store/internal/backend", []string{"store"}},
		{"store/storetest", []string{"store"}},
		{"store/postgres/internal/approvals", []string{
			"store", "store/internal/backend", "store/postgres/internal/named", "store/postgres/internal/pool",
		}},
		{"store/sqlite/internal/approvals", []string{"store", "store/internal/backend", "store/sqlite/internal/connection"}},
		{"store/postgres/internal/keys", []string{"store", "store/postgres/internal/named", "store/postgres/internal/pool"}},
		{"store/sqlite/internal/keys", []string{"store", "store/sqlite/internal/connection"}},
		{"store/postgres/internal/lists", []string{"store", "store/postgres/internal/pool"}},
		{"store/sqlite/internal/lists", []string{"store", "store/sqlite/internal/connection"}},
		{"store/postgres/internal/partition", nil},
		{"store/postgres/internal/allowance", []string{"store", "store/internal/backend", "store/postgres/internal/named", "store/postgres/internal/pool"}},
		{"store/postgres/internal/directories", []string{
			"store", "store/postgres/internal/named", "store/postgres/internal/pool",
		}},
		{"store/postgres/internal/figures", []string{"store", "store/postgres/internal/pool"}},
		{"store/sqlite/internal/figures", []string{"store", "store/sqlite/internal/connection"}},
		{"store/sqlite/internal/directories", []string{"store", "store/sqlite/internal/connection"}},
		{"store/postgres/internal/handoffs", []string{
			"store", "store/postgres/internal/named", "store/postgres/internal/pool",
		}},
		{"store/postgres/internal/account", []string{"store", "store/postgres/internal/named", "store/postgres/internal/pool", "store/postgres/internal/signout"}},
		{"store/postgres/internal/auditlog", []string{"store", "store/postgres/internal/named", "store/postgres/internal/pool"}},
		{"store/postgres/internal/named", []string{"store"}},
		{"store/postgres/internal/purge", nil},
		{"store/postgres/internal/signout", []string{
			"store", "store/postgres/internal/named", "store/postgres/internal/outbox", "store/postgres/internal/pool",
		}},
		{"store/sqlite/internal/signout", []string{"store", "store/sqlite/internal/connection", "store/sqlite/internal/outbox"}},
		{"store/postgres/internal/outbox", []string{"store", "store/postgres/internal/named", "store/postgres/internal/pool"}},
		{"store/sqlite/internal/outbox", []string{"store", "store/sqlite/internal/connection"}},
		{"store/postgres/internal/clock", []string{"store"}},
		{"store/postgres/internal/managed", []string{"store"}},
		{"store/postgres/internal/consents", []string{
			"store", "store/postgres/internal/named", "store/postgres/internal/outbox", "store/postgres/internal/pool",
		}},
		{"store/postgres/internal/fill", []string{"store", "store/internal/backend"}},
		{"store/postgres/internal/listener", []string{"store", "store/postgres/internal/pool"}},
		{"store/postgres/internal/pipeline", []string{"store"}},
		{"store/postgres/internal/pool", []string{
			"internal/pause", "internal/queue", "store", "store/internal/backend", "store/postgres/internal/pipeline",
		}},
		{"store/sqlite/internal/account", []string{"store", "store/sqlite/internal/connection", "store/sqlite/internal/signout"}},
		{"store/sqlite/internal/connection", []string{"store", "store/internal/backend"}},
		{"store/sqlite/internal/auditlog", []string{"store", "store/sqlite/internal/connection"}},
		{"store/sqlite/internal/consents", []string{"store", "store/sqlite/internal/connection", "store/sqlite/internal/outbox"}},
		{"store/sqlite/internal/managed", []string{"store", "store/sqlite/internal/connection"}},
		{"store/sqlite/internal/sweep", []string{"store/sqlite/internal/connection"}},
		{"store/sqlite/internal/dbfile", []string{"internal/pause", "internal/wholefile", "store", "store/internal/backend", "store/sqlite/internal/connection"}},
	}
}

func shared() []Package {
	return []Package{
		{"internal/jose", []string{"internal/jose/anysigner", "internal/jose/der", "internal/strictjson"}},
		{"internal/jose/der", nil},
		{"internal/jose/anysigner", nil},
		{"internal/keyset", []string{"internal/jose"}},
		{"internal/presented", []string{"mtls"}},
		{"internal/requestobject", []string{"internal/finding", "internal/jose"}},
		{"internal/oauth", nil},
		{"internal/audit", []string{"internal/jose", "internal/strictjson"}},
		{"internal/passkey", []string{"internal/strictjson"}},
		{"internal/httpsig", nil},
		{"internal/outbound", nil},
		{"internal/limit", []string{"store"}},
		{"internal/pause", nil},
		{"internal/repeat", nil},
		{"internal/handshakes", []string{"mtls"}},
		{"internal/recent", nil},
		{"internal/delivery", nil},
		{"internal/address", nil},
		{"internal/chart", nil},
		{"internal/correlation", nil},
		{"internal/queue", nil},
		{"internal/random", nil},
		{"internal/set", nil},
		{"internal/wholefile", nil},
	}
}

func around() []Package {
	return []Package{
		{"fapi/fapitest", []string{
			"ciba", "fapi", "fapi/authorize", "fapi/backchannel", "fapi/browser", "fapi/claims", "fapi/client", "fapi/consent", "fapi/event",
			"fapi/rar", "fapi/rar/ready", "fapi/registration", "fapi/resource", "fapi/scope", "internal/audit", "internal/auditlog",
			"internal/claimsource", "internal/directory", "internal/jose", "internal/outbound", "internal/pages",
			"internal/passkey/passkeytest", "internal/postgrestest", "mtls", "signer", "signer/pkcs11", "softhsm", "store",
			"store/postgres", "store/sqlite",
		}},
		{"internal/passkey/passkeytest", nil},
		{"internal/browsertest", nil},
		{"internal/postgrestest", nil},
		{"internal/fips/fipstest", nil},
		{"internal/pgproxy", nil},
		{"internal/proxies", nil},
		{"internal/peers", nil},
		{"internal/peers/providers", nil},
		{"internal/arch", nil},
		{"internal/arch/generate", []string{"internal/arch"}},
		{"internal/specifications", []string{"internal/arch"}},
		{"internal/specifications/generate", []string{"internal/arch", "internal/specifications"}},
		{"internal/checklist", nil},
		{"internal/checklist/generate", []string{"internal/checklist"}},
		{"conformance", []string{
			"conformance/bank", "conformance/directory", "conformance/keys", "conformance/relyingparty", "conformance/results", "conformance/suite",
			"internal/flowclient", "internal/jose",
		}},
		{"conformance/bank", []string{"dpop", "internal/flowclient", "internal/jose"}},
		{"conformance/directory", []string{"internal/jose"}},
		{"conformance/ecosystem", nil},
		{"conformance/keys", nil},
		{"conformance/relyingparty", []string{"conformance/keys", "conformance/results", "conformance/suite", "rp", "rp/client"}},
		{"conformance/results", []string{"conformance/suite"}},
		{"conformance/suite", nil},
		{"conformance/ingress", []string{"internal/proxies"}},
		{"conformance/ownlogin", nil},
		{"bench", []string{"bench/floor", "bench/measure", "bench/servers", "internal/chart", "internal/flowclient", "internal/pgproxy"}},
		{"bench/floor", []string{"signer", "signer/pkcs11", "softhsm"}},
		{"bench/load", []string{"bench/measure", "bench/servers", "internal/chart", "internal/flowclient", "internal/jose"}},
		{"bench/measure", nil},
		{"deploy/helm/generate", []string{"internal/config"}},
		{"bench/signer", []string{"signer", "signer/pkcs11", "softhsm"}},
		{"bench/abuse", []string{"bench/measure", "bench/servers", "internal/flowclient", "internal/jose"}},
		{"bench/torture", []string{
			"bench/measure", "bench/servers", "bench/torture/history", "internal/chart", "internal/flowclient", "internal/jose",
			"store", "store/postgres", "store/sqlite",
		}},
		{"bench/torture/history", nil},
		{"examples/bankapp", nil},
		{"examples/bank", nil},
		{"examples/bank/api", []string{"rs"}},
		{"examples/bank/orchid", []string{"rp", "rp/client"}},
		{"examples/claims-source", nil},
		{"examples/directory", []string{"examples/directory/standin"}},
		{"examples/directory/standin", nil},
		{"examples/consent-source", nil},
		{"examples/own-login", nil},
		{"bench/servers", []string{"internal/flowclient", "internal/jose", "internal/opencryptoki"}},
		{"bench/servers/serverstest", nil},
		{"internal/devsetup/setuptest", []string{"internal/config", "internal/devsetup", "internal/issuers"}},
		{"internal/flowclient", []string{"internal/jose"}},
		{"signer/pkcs11/attest", []string{"signer"}},
		{"internal/logbuffer", nil},
		{"internal/module", nil},
		{"internal/opencryptoki", nil},
		{"internal/release", nil},
		{"internal/release/machine", nil},
		{"internal/release/make", []string{"internal/release"}},
		{"internal/vulncheck", nil},
	}
}
