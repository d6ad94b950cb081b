// Package config is the one configuration file: its keys, how it is read, validated, printed and
// described.
//
// [Config] is the single source. Its struct tags give each key's name, default, bounds and description; decoding,
// validation, [Config.Print] and [Schema] all read them from there. Nothing can be configured that a FAPI profile
// forbids: there is no key for it, or the key's bounds end where the profile's do.
package config

import (
	"countersign/internal/config/asked"
	"countersign/internal/config/caches"
	"countersign/internal/config/issuers"
	"countersign/internal/config/observe"
	"countersign/internal/config/operators"
	"countersign/internal/config/position"
	"countersign/internal/config/signin"
	"countersign/internal/config/storage"
	"countersign/internal/config/value"
)

// The types of values that are more than texts and numbers, and of tables that are described elsewhere.
type (
	AuthorizationDetail = asked.AuthorizationDetail
	CIBA                = asked.CIBA
	HintIssuer          = asked.HintIssuer
	Issuer              = issuers.Issuer
	ResourceServer      = asked.ResourceServer
	Scope               = asked.Scope

	Duration  = value.Duration
	File      = value.File
	Secret    = value.Secret
	Telemetry = observe.Telemetry
	Login     = signin.Login
	Store     = storage.Store
)

// Config is the whole file. Tags: toml names the key, doc describes it, default is the value of an absent key,
// required demands it, enum lists the only values, min and max bound it, lax says how it protects less than its default,
// reload whether a change is taken without a restart ([change.Live]).
type Config struct {
	Issuer string `toml:"issuer" reload:"restart" why:"it is in every token, and clients know it: what was issued before would be nobody's" required:"true" doc:"Issuer identifier (RFC 8414 §2): the https address that clients know, without query, fragment or trailing slash."`

	Profiles string `toml:"profiles" reload:"live" default:"fapi2-security" doc:"Security profiles that clients may be held to, separated by spaces: fapi2-security, fapi2-message-signing, fapi1-advanced, presets of ecosystems such as uk-openbanking, or PRESET/BASE; countersign profile list has them all. Each client is held to its own; the discovery document describes what these allow."`

	Listen     Listen          `toml:"listen" reload:"each" doc:"The listener for browsers and for clients that authenticate with private_key_jwt. It never asks for a client certificate."`
	ListenMTLS ListenMTLS      `toml:"listen_mtls" reload:"each" doc:"The listener that asks for a client certificate (RFC 8705). It is off while its address is empty."`
	Store      Store           `toml:"store" reload:"restart" why:"it is opened once, and what was begun in one database cannot be ended in another; passwords and addresses in files are read again" doc:"Where grants, tokens, clients and users are kept."`
	Signer     Signer          `toml:"signer" reload:"restart" why:"the worker process has the module loaded and the PIN; keys themselves change without a restart" doc:"The PKCS#11 module and token that hold the signing keys."`
	Tokens     Tokens          `toml:"tokens" reload:"live" doc:"How long things live, and what signs access tokens."`
	Sessions   Sessions        `toml:"sessions" reload:"live" doc:"Signed-in browsers."`
	Caches     caches.Caches   `toml:"caches" reload:"live" doc:"What a node remembers so that it need not read or fetch it again. More takes memory (docs/operations.md), less takes time. A cache that is full forgets; nothing fails."`
	Limits     Limits          `toml:"limits" reload:"each" doc:"Bounds on what a connection may cost."`
	Telemetry  Telemetry       `toml:"telemetry" reload:"each" doc:"Logs and traces. Neither holds a secret."`
	Metrics    observe.Metrics `toml:"metrics" reload:"restart" why:"what is counted would begin again while the server goes on" doc:"Metrics, for Prometheus and OpenTelemetry. See docs/metrics.md."`
	Admin      operators.Admin `toml:"admin" reload:"each" doc:"The admin API, for operators with certificates. See docs/admin-api.md."`
	Why        observe.Why     `toml:"why" reload:"live" doc:"What is kept of refused requests. No secret is in it. See docs/why.md."`
	Audit      Audit           `toml:"audit" reload:"restart" why:"the chain of this node has one writer, from its start to its last checkpoint" doc:"The audit log: signed messages, and what operators change. It cannot be turned off."`
	Resources  Resources       `toml:"resources" reload:"live" doc:"Protected resources that the server itself answers, beside UserInfo."`
	Retention  Retention       `toml:"retention" reload:"restart" why:"what is removed is decided by the store when it is opened" doc:"How long ended records are kept. One-time values are kept as long as they could be replayed, regardless of these settings."`
	DPoP       DPoP            `toml:"dpop" reload:"live" doc:"Proofs of possession (RFC 9449)."`
	Brand      Brand           `toml:"brand" reload:"live" doc:"Whose pages users see, and in which languages. There is no key for CSS or HTML: who may style may hide the amount. See docs/brand.md."`

	ACRNames ACRNames `toml:"acr_names" reload:"live" doc:"Further names of the authentication context classes, such as those of an ecosystem, separated by spaces. Clients ask by them in acr_values and claims, also as essential, and the acr of their tokens is the name that they asked by. The classes' own names stay."`

	Consents Consents `toml:"consents" reload:"live" doc:"Consents that clients lodge before they ask for an authorization, as in open-banking ecosystems. See docs/consents.md."`

	ClaimsSource ClaimsSource `toml:"claims_source" reload:"live" doc:"An API of the operator's own that has the claims about users, in place of the built-in directory. It is off while its address is empty. See docs/claims-source.md."`

	CIBA         CIBA         `toml:"ciba" reload:"live" doc:"Clients that ask users on their own devices (CIBA, FAPI-CIBA). See docs/ciba.md."`
	ApprovalApps ApprovalApps `toml:"approval_apps" reload:"live" doc:"What applications that approve backchannel requests may claim about how they have authenticated their user, by the sign-in under which they were enrolled. What exceeds it is refused. See docs/ciba-device.md."`
	Account      Account      `toml:"account" reload:"live" doc:"Users' own accounts, at /account below the issuer, as an API for applications of your own. See docs/account.md."`
	Login        Login        `toml:"login" reload:"live" doc:"A login of your own, to which users are sent to sign in, to decide, or for both (docs/own-login.md), or an OpenID Provider elsewhere that signs them in (docs/upstream-login.md). The built-in pages do the rest."`
	Registration Registration `toml:"registration" reload:"live" doc:"Clients that register themselves (RFC 7591, RFC 7592)."`
	Outbound     Outbound     `toml:"outbound" reload:"live" doc:"What the server itself reaches: jwks_uri, sector_identifier_uri and notification endpoints of clients. Only public addresses are reached, never redirects followed. Of each of the three, and of web push, 64 are reached at once, 4 of them (16 for notifications) for one organisation; what waits longer than 2 seconds for its turn is answered 503 with Retry-After."`

	Issuers              []Issuer              `toml:"issuers" reload:"live" doc:"Further issuers that this process serves beside the one of this file, which is named main. Added and removed without a restart. See docs/issuers.md."`
	TrustStores          []TrustStore          `toml:"trust_stores" reload:"live" doc:"Further sets of authorities for client certificates, such as those of one ecosystem each. A client whose registration names one in tls_client_auth_trust_store is held to that one alone, all others to listen_mtls.client_ca_file."`
	Directories          []Directory           `toml:"directories" reload:"live" doc:"Directories of participants that vouch for clients by software statements (RFC 7591 §2.3), and suspend them. See docs/directory.md."`
	Scopes               []Scope               `toml:"scopes" reload:"live" doc:"Scope values beyond openid, offline_access and the OpenID Connect claim scopes, with the sentence that users read when they decide."`
	ResourceServers      []ResourceServer      `toml:"resource_servers" reload:"live" doc:"Other protected resources that access tokens can be asked for (RFC 8707). The issuer is always one."`
	AuthorizationDetails []AuthorizationDetail `toml:"authorization_details" reload:"live" doc:"Types of authorization_details that clients can ask for (RFC 9396)."`

	// folder is where the file lies; relative file names start there.
	folder string
	// name is that of the file, and positions are where its keys are.
	name      string
	positions position.Positions
}

// Listen is the main listener.
type Listen struct {
	Address         string `toml:"address" reload:"live" default:"127.0.0.1:8443" doc:"Host and port to listen on."`
	CertificateFile File   `toml:"certificate_file" reload:"live" required:"true" doc:"TLS certificate chain, PEM, leaf first. Used by both listeners."`
	KeyFile         Secret `toml:"key_file" reload:"live" required:"true" doc:"Private key of the TLS certificate, PEM."`
	IngressNetworks string `toml:"ingress_networks" reload:"live" doc:"Networks of the ingresses in front of this listener, such as 10.1.2.0/28, separated by spaces. From there X-Forwarded-For is believed: its last address that is in none of them is the client's, in the log and for limits by address."`
	StrictTransport string `toml:"strict_transport_security" reload:"live" default:"host" enum:"host,subdomains,preload" doc:"For which hosts browsers are told to use https only (RFC 6797), for two years: the host of the issuer, its subdomains too, or so that it may be put on the browsers' preload lists, which is hard to undo."`
}

// ListenMTLS is the listener for client certificates.
type ListenMTLS struct {
	Address      string `toml:"address" reload:"live" doc:"Host and port to listen on, or unix: and the name of a socket for an ingress on this machine; empty turns the listener off."`
	URL          string `toml:"url" reload:"live" doc:"Public https address of this listener, published in mtls_endpoint_aliases (RFC 8705 §5)."`
	ClientCAFile File   `toml:"client_ca_file" reload:"live" doc:"Certificate authorities, PEM, whose client certificates tls_client_auth accepts. Without it only self_signed_tls_client_auth works."`

	IntermediatesFile File   `toml:"intermediates_file" reload:"live" doc:"Further certificates, PEM, between those authorities and the clients'. Needed for clients that send none, and behind an ingress that hands on the client's own certificate alone."`
	Source            string `toml:"source" reload:"restart" why:"certificates of connections that are open were read in the way before" default:"direct" enum:"direct,rfc9440,nginx,ingress-nginx,haproxy,envoy,apache,caddy,traefik,aws-alb,aws-alb-passthrough,gcp,azure,azure-app-service,cloudflare,proxy-v2" doc:"Where client certificates are found: direct when clients connect to this listener themselves, else the kind of ingress that terminates their TLS. See deploy/ingress."`
	IngressCAFile     File   `toml:"ingress_ca_file" reload:"live" doc:"Certificate authorities, PEM, of the certificate that the ingress shows when it connects."`
	IngressName       string `toml:"ingress_name" reload:"live" doc:"DNS name or URI in that certificate (subjectAltName); several separated by spaces."`
	IngressNetworks   string `toml:"ingress_networks" reload:"live" doc:"Networks that the ingress connects from, such as 10.1.2.0/28, separated by spaces; together with ingress_secret_file, in place of a certificate."`
	IngressSecret     Secret `toml:"ingress_secret_file" reload:"live" doc:"File of the secret, at least 43 characters, that the ingress sends in the header Countersign-Ingress-Secret."`
	IngressOldSecret  Secret `toml:"ingress_old_secret_file" reload:"live" doc:"File of the secret before, accepted too while ingresses change to the new one."`
	ForwardedFor      bool   `toml:"forwarded_for" reload:"live" default:"false" doc:"The ingress sets or extends X-Forwarded-For: its last address that is not in ingress_networks is the client's, in the log and for limits by address. With proxy-v2 the PROXY header tells it anyway."`
	Revocation        string `toml:"revocation" reload:"live" default:"off" enum:"off,soft,hard" doc:"Whether client certificates are looked up in CRLs and by OCSP: soft accepts a certificate when no source can be reached, hard does not."`
	CRLFile           File   `toml:"crl_file" reload:"live" doc:"Certificate revocation lists, PEM, of the client authorities, kept fresh by the operator. Asked before the addresses in the certificates."`
}

// TrustStore is a set of authorities for the certificates of some clients.
type TrustStore struct {
	Name              string `toml:"name" required:"true" doc:"What clients name in tls_client_auth_trust_store."`
	ClientCAFile      File   `toml:"client_ca_file" required:"true" doc:"Certificate authorities, PEM."`
	IntermediatesFile File   `toml:"intermediates_file" doc:"Further certificates, PEM, between those authorities and the clients'."`
	Revocation        string `toml:"revocation" default:"off" enum:"off,soft,hard" doc:"Whether these certificates are looked up in CRLs and by OCSP."`
	CRLFile           File   `toml:"crl_file" doc:"Certificate revocation lists, PEM, of these authorities."`
}

// Signer is the PKCS#11 token.
type Signer struct {
	Module      File              `toml:"module" doc:"The vendor's PKCS#11 module, a shared library. It is loaded by a worker process, never by the server itself unless backend says so."`
	Token       string            `toml:"token" doc:"Label of the token that holds the keys, or its RFC 7512 address, such as pkcs11:token=countersign;serial=0123."`
	Backend     string            `toml:"backend" default:"worker" enum:"worker,crypto11" doc:"Where the module runs: in a worker process that is replaced when the module hangs or crashes, or in the server itself by crypto11, which has no EdDSA, no replicas and no recovery."`
	PINFile     Secret            `toml:"pin_file" doc:"File that holds the user PIN of the token, or the passphrase of development_key_file."`
	PINEnv      string            `toml:"pin_env" doc:"Name of the environment variable that holds the user PIN, in place of pin_file. Root and the server's user can read it in /proc: prefer a file or a credential."`
	Environment map[string]string `toml:"environment" doc:"Environment variables for the module, such as SOFTHSM2_CONF. A value that starts with ./ is a file name relative to this file's folder."`
	Parameters  string            `toml:"module_parameters" doc:"What the module is given when it is initialised. NSS wants it (docs/hsm.md); others do without."`
	Sessions    int               `toml:"sessions" default:"4" min:"1" max:"64" doc:"Signatures made at the same time, in a session each; two to four times the cores of the token. The worker holds one session more for the login, and up to as many again for keys that decrypt."`
	Queue       int               `toml:"queue" default:"256" min:"1" max:"65536" doc:"Signatures that may wait or be made; requests beyond are refused with 503 and Retry-After."`
	QueueTime   Duration          `toml:"queue_time" default:"5s" min:"100ms" max:"20s" doc:"How long a request may wait for a signature, from asking to having it. One that is expected to wait longer is refused at once with 503 and Retry-After, before anything is consumed."`
	Timeout     Duration          `toml:"timeout" default:"2s" min:"100ms" max:"1m" doc:"How long one signature may take before the module counts as hung and its process is replaced."`
	Start       Duration          `toml:"start_timeout" default:"15s" min:"1s" max:"5m" doc:"How long the module may take to open the token and log in before its process is killed and started again. Requests wait no longer for it than timeout, or twice as long as the last start took; after a start that was overdue they are refused at once until one succeeds."`
	StateDir    File              `toml:"state_dir" doc:"Folder in which it is remembered that a token refused its PIN, so that no restart and no other process on this machine sends it again. When absent: the folder of store.file, else systemd's state directory (STATE_DIRECTORY), else the folder of pin_file."`
	RotateEvery Duration          `toml:"rotate_every" default:"0s" min:"0s" max:"1095d" doc:"How often a new key takes the place of the one that signs, by itself; 0s leaves it to countersign keys rotate."`

	DevelopmentKeyFile File `toml:"development_key_file" lax:"other" doc:"In place of an HSM, for developing on one machine: an encrypted file of keys, made by countersign keys generate. Only for an issuer on localhost, *.localhost, 127.0.0.1 or [::1], and never beside an HSM."`

	// StateFolder is StateDir, or what takes its place; [Load] sets it. Empty where there is none.
	StateFolder File

	Replicas []Replica `toml:"replicas" doc:"Further tokens that hold copies of the keys. Each key is used from every token that it has an address on; while one is away the others sign."`
}

// Replica is a further token.
type Replica struct {
	Module      File              `toml:"module" doc:"The PKCS#11 module of this token; signer.module when absent."`
	Token       string            `toml:"token" required:"true" doc:"Label or RFC 7512 address of the token. Two tokens with one label are distinguished by serial=."`
	PINFile     Secret            `toml:"pin_file" doc:"File that holds the user PIN of this token; signer.pin_file when both are absent."`
	PINEnv      string            `toml:"pin_env" doc:"Name of the environment variable that holds the user PIN of this token, in place of pin_file."`
	Environment map[string]string `toml:"environment" doc:"Environment variables for this module; signer.environment when absent."`
	Parameters  string            `toml:"module_parameters" doc:"What this module is given when it is initialised; signer.module_parameters when both module and this are absent."`
}

// Tokens are lifetimes and algorithms.
type Tokens struct {
	AccessTokenLifetime  Duration `toml:"access_token_lifetime" lax:"more" default:"5m" min:"30s" max:"15m" doc:"Life of an access token. Short, because a resource server may accept it until it ends."`
	AccessTokenAlgorithm string   `toml:"access_token_algorithm" default:"PS256" enum:"PS256,ES256,EdDSA" doc:"Signature algorithm of access tokens (FAPI 2.0 Security Profile §5.4.1)."`
	IDTokenLifetime      Duration `toml:"id_token_lifetime" default:"5m" min:"30s" max:"1h" doc:"Life of an ID token."`
	GrantLifetime        Duration `toml:"grant_lifetime" default:"90d" min:"1m" max:"365d" doc:"How long a user's decision is valid, and with it every refresh token."`
	CodeLifetime         Duration `toml:"code_lifetime" default:"60s" min:"5s" max:"60s" doc:"Life of an authorization code (FAPI 2.0 Security Profile §5.3.2.1-11)."`
	RequestURILifetime   Duration `toml:"request_uri_lifetime" default:"60s" min:"5s" max:"599s" doc:"Life of a pushed authorization request (FAPI 2.0 Security Profile §5.3.2.2-12)."`
}

// Sessions are signed-in browsers.
type Sessions struct {
	Lifetime            Duration `toml:"lifetime" default:"1h" min:"1m" max:"24h" doc:"How long a browser stays signed in."`
	InteractionLifetime Duration `toml:"interaction_lifetime" default:"10m" min:"1m" max:"1h" doc:"How long a user may take to sign in and decide."`
}

// Limits bound a connection.
type Limits struct {
	HeaderBytes       int      `toml:"header_bytes" reload:"live" default:"32768" min:"8192" max:"1048576" doc:"Largest header of a request."`
	ReadHeaderTimeout Duration `toml:"read_header_timeout" reload:"live" default:"5s" min:"1s" max:"1m" doc:"How long a client may take to send a header."`
	ReadTimeout       Duration `toml:"read_timeout" reload:"live" default:"15s" min:"1s" max:"5m" doc:"How long a client may take to send a whole request."`
	WriteTimeout      Duration `toml:"write_timeout" reload:"live" default:"30s" min:"1s" max:"5m" doc:"How long an answer may take."`
	IdleTimeout       Duration `toml:"idle_timeout" reload:"live" default:"2m" min:"1s" max:"10m" doc:"How long an unused connection is kept."`
	Connections       int      `toml:"connections" reload:"live" default:"0" min:"0" max:"1048576" doc:"Connections of clients that may be open at once; 0 is as many as the limit of open files (RLIMIT_NOFILE) leaves beside what the server itself needs. At the limit, the network with the most gives up one that rests."`
	DrainTime         Duration `toml:"drain_time" reload:"live" default:"5s" min:"0s" max:"5m" doc:"How long after SIGTERM requests are still taken while /health/ready says no and each answer ends its connection, so that a load balancer can notice: longer than it takes to find a node away."`
	ShutdownTimeout   Duration `toml:"shutdown_timeout" reload:"live" default:"20s" min:"1s" max:"5m" doc:"How long running requests may take after SIGTERM."`

	ClientPerSecond          int `toml:"client_per_second" reload:"live" lax:"more" default:"50" min:"1" max:"100000" doc:"Requests a second that one client may send to one node, after a burst; more are answered with 429."`
	ClientBurst              int `toml:"client_burst" reload:"live" lax:"more" default:"200" min:"1" max:"100000" doc:"Requests that one client may send at once."`
	AddressFailuresPerSecond int `toml:"address_failures_per_second" reload:"live" lax:"more" default:"5" min:"1" max:"100000" doc:"Client authentications a second that may fail from one network address (a /64 of IPv6), after a burst; then the address must wait. As many others may fail that cost something: request objects by value, and signed error responses."`
	AddressFailureBurst      int `toml:"address_failure_burst" reload:"live" lax:"more" default:"100" min:"1" max:"100000" doc:"Client authentications that may fail at once from one network address. Behind an ingress all clients may share one."`

	PasswordBurst           int      `toml:"password_burst" reload:"live" default:"20" min:"4" max:"20" doc:"Wrong passwords at once for one user name, on all nodes together; half as many from one address, and from a browser in which the user has signed in before. Then sign-ins are answered with 429 without looking at the password."`
	PasswordInterval        Duration `toml:"password_interval" reload:"live" default:"1m" min:"1m" max:"24h" doc:"After what time a user name takes one more; from one address five times as long."`
	PasswordAddressBurst    int      `toml:"password_address_burst" reload:"live" default:"50" min:"5" max:"50" doc:"Wrong passwords at once from one network address (a /64 of IPv6), for whatever user names."`
	PasswordAddressInterval Duration `toml:"password_address_interval" reload:"live" default:"6s" min:"6s" max:"1h" doc:"After what time an address may send one more."`
	PasswordFailures        int      `toml:"password_failures" reload:"live" default:"100" min:"10" max:"100" doc:"Wrong passwords in a row that a user takes (NIST SP 800-63B-4 §3.2.2), a fifth of them from browsers in which the user has signed in before. Then only passkeys, and those browsers, sign in, until one has, the password is changed, or an operator runs users unlock."`

	PasswordMemory int `toml:"password_memory" reload:"live" default:"152" min:"19" max:"65536" doc:"What the passwords that are verified at once may take in all, in MiB: 19 for each. More at once than there are processors are of no use and not verified; the others wait."`
}

// DPoP is for proofs of possession.
type DPoP struct {
	RequireNonce bool `toml:"require_nonce" default:"false" doc:"Require a nonce of this server in every proof (RFC 9449 §8, §9), so that none can be made in advance. Costs each client one more request every few minutes."`
}

// Brand is whose pages users see.
type Brand struct {
	Name             string `toml:"name" doc:"Name of the service: on every page, in its title, and in what browsers ask when a passkey is used. Empty is Countersign, with its own mark."`
	LogoFile         File   `toml:"logo_file" doc:"Logo beside the name: SVG or PNG, at most 64 KiB, complete in itself, without scripts."`
	LogoDarkFile     File   `toml:"logo_dark_file" doc:"The logo on dark ground; logo_file when absent."`
	FaviconFile      File   `toml:"favicon_file" doc:"Icon of the browser's tab, in the same form; the logo when absent, or a square of the accent. A square PNG is the icon of the installed pages too."`
	Accent           string `toml:"accent" default:"#12594a" doc:"The one colour. All others are derived from it, so that every text keeps its contrast whatever the colour is."`
	HelpURI          string `toml:"help_uri" doc:"https address of your help, at the foot of every page."`
	PrivacyURI       string `toml:"privacy_uri" doc:"https address of your privacy notice, at the foot of every page."`
	AccessibilityURI string `toml:"accessibility_uri" doc:"https address of your accessibility statement, at the foot of every page."`
	Locales          string `toml:"locales" default:"en pt-BR es fr de ar" doc:"Languages of the pages (BCP 47), separated by spaces, and ui_locales_supported of the discovery document. The first is for users who read none of them."`
	TimeZone         string `toml:"time_zone" default:"UTC" doc:"Zone of the times on pages, such as Europe/Berlin. It is named beside them."`
	MessagesDir      File   `toml:"messages_dir" doc:"Folder with messages of your own, LANGUAGE/*.json: they replace single ones of a language that comes with the server, or are a further language."`

	Languages []BrandLanguage `toml:"languages" doc:"What differs in one language."`
}

// BrandLanguage is what differs in one language; what is empty is that of the brand.
type BrandLanguage struct {
	Language         string `toml:"language" required:"true" doc:"The language, one of brand.locales."`
	Name             string `toml:"name" doc:"Name of the service."`
	LogoFile         File   `toml:"logo_file" doc:"Logo beside the name."`
	LogoDarkFile     File   `toml:"logo_dark_file" doc:"The logo on dark ground; logo_file of this language when absent."`
	HelpURI          string `toml:"help_uri" doc:"https address of your help."`
	PrivacyURI       string `toml:"privacy_uri" doc:"https address of your privacy notice."`
	AccessibilityURI string `toml:"accessibility_uri" doc:"https address of your accessibility statement."`
}

// ACRNames are further names of authentication context classes.
type ACRNames struct {
	Passkey  string `toml:"passkey" doc:"Names of urn:countersign:acr:passkey, such as urn:openbanking:psd2:sca or urn:brasil:openbanking:loa3."`
	Password string `toml:"password" doc:"Names of urn:countersign:acr:password, such as urn:brasil:openbanking:loa2. A password alone is no strong customer authentication."`
}

// ClaimsSource is an API for claims about users.
type ClaimsSource struct {
	Address         string   `toml:"address" doc:"https address to which questions about users are posted."`
	CertificateFile File     `toml:"certificate_file" doc:"Certificate, PEM, that is shown to it. Read again when it changes."`
	KeyFile         Secret   `toml:"key_file" doc:"Private key of that certificate, PEM."`
	CAFile          File     `toml:"ca_file" doc:"Certificate authorities, PEM, of its certificate; the system's when absent."`
	Networks        string   `toml:"networks" doc:"Networks that are not public and in which it may be, such as 10.1.2.0/28, separated by spaces. Without them only public addresses are reached."`
	Claims          string   `toml:"claims" doc:"Claims about users (OpenID Connect Core §5.1) that it may give, separated by spaces. Others are neither asked for nor taken, and the discovery document lists these alone."`
	CheckActive     bool     `toml:"check_active" default:"true" lax:"other" doc:"Ask at each issue and refresh of tokens and each UserInfo whether the user is active there, also where no claim is wanted: without an answer there are then no tokens (503 with Retry-After)."`
	Timeout         Duration `toml:"timeout" default:"2s" min:"100ms" max:"10s" doc:"How long a question may take, with the time that it waits for its turn."`
	Cache           Duration `toml:"cache" lax:"more" default:"30s" min:"0s" max:"15m" doc:"How long an answer is used again, for the same user, client, claims and scopes, and never longer, also while the source is away. The source can shorten it by Cache-Control."`
	CacheEntries    int      `toml:"cache_entries" default:"10000" min:"1" max:"1000000" doc:"Largest number of answers that are kept."`
	AtOnce          int      `toml:"at_once" default:"32" min:"1" max:"64" doc:"Questions that are asked at once, on each node."`
}

// Account is the API of users' own accounts.
type Account struct {
	Scope   string `toml:"scope" doc:"The scope value that an access token for the API must have, one of [[scopes]]; empty turns the API off."`
	Clients string `toml:"clients" doc:"The client_ids that may use the API, separated by spaces: your own applications. Whoever holds a token for it can end everything that its user gave, to others too."`
}

// ApprovalApps bounds what approval apps may claim.
type ApprovalApps struct {
	PasswordACR string `toml:"password_acr" default:"urn:countersign:acr:password" doc:"Authentication context classes that an application may claim which was enrolled under a password, or before that was recorded, separated by spaces; empty means none. No class above a password."`
	PasswordAMR string `toml:"password_amr" default:"pin pwd user" doc:"Authentication methods (RFC 8176) that it may claim. None that say more than a password does, such as hwk, fpt or mfa."`
	PasskeyACR  string `toml:"passkey_acr" default:"urn:countersign:acr:passkey urn:countersign:acr:password" doc:"The same for one that was enrolled under a passkey, or by an operator with --level passkey."`
	PasskeyAMR  string `toml:"passkey_amr" default:"face fpt geo hwk iris kba mca mfa otp pin pop pwd rba retina sc sms swk tel user vbm wia" doc:"The same for one that was enrolled under a passkey, or by an operator with --level passkey."`
}

// Registration is dynamic client registration.
type Registration struct {
	Enabled          bool   `toml:"enabled" default:"false" doc:"Offer /register to holders of an initial access token (countersign clients tokens add)."`
	Scopes           string `toml:"scopes" doc:"Scope values that such clients may register, separated by spaces; empty means all."`
	DetailTypes      string `toml:"authorization_details_types" doc:"Types of authorization_details that such clients may register, separated by spaces; empty means none."`
	CertificateQuota int    `toml:"certificate_quota" default:"0" min:"0" max:"100000" doc:"Clients that an organisation may register which proves itself by a certificate of listen_mtls.client_ca_file instead of a token; 0 allows none."`
}

// Outbound is for what the server requests itself.
type Outbound struct {
	CAFile File `toml:"ca_file" doc:"Certificate authorities, PEM, to trust instead of the system's."`
}

// Audit is the log of evidence.
type Audit struct {
	Node              string   `toml:"node" doc:"Name of this node's chain, unlike any other node's; the host's name when it is empty."`
	CheckpointEvery   Duration `toml:"checkpoint_every" default:"1m" min:"1s" max:"1h" doc:"How long an entry may wait until a key in the HSM seals it."`
	CheckpointEntries int      `toml:"checkpoint_entries" default:"1000" min:"1" max:"100000" doc:"How many entries may wait for that."`
}

// Retention is how long what has ended is kept.
type Retention struct {
	Grants              Duration `toml:"grants" default:"1h" min:"1h" max:"3653d" doc:"How long a grant stays known after its end, so that it can be listed and exported. A revoked one is kept until it would have ended, and then as long."`
	BackchannelRequests Duration `toml:"backchannel_requests" default:"1h" min:"1h" max:"3653d" doc:"How long a backchannel request with its decision stays known after its end."`
}

// Resources are built-in protected resources.
type Resources struct {
	SampleAccounts bool `toml:"sample_accounts" lax:"other" default:"false" doc:"Answer /accounts with invented accounts, to try the flow. It needs the scope accounts."`
}
