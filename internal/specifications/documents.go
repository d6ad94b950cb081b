package specifications

// Document is a specification that sources name.
type Document struct {
	// Name is how sources name it; Also are other ways.
	Name string
	Also []string
	// Title says what it is; empty where the name does.
	Title string
	// Address is where it is, or empty.
	Address string
	// Often says that the name alone refers to nothing in it.
	Often bool
}

// documents are those that are no RFC, in the order of the page.
func documents() []Document {
	const openID = "https://openid.net/specs/"
	return []Document{
		{Name: "FAPI 2.0 Security Profile"},
		{Name: "FAPI 2.0 Message Signing"},
		{Name: "FAPI 2.0 HTTP Signatures", Title: "draft"},
		{Name: "FAPI 1.0 Baseline", Also: []string{"FAPI 1.0 Security Profile, Part 1", "Part 1"}, Title: "Security Profile, Part 1", Address: openID + "openid-financial-api-part-1-1_0.html"},
		{Name: "FAPI 1.0 Advanced", Also: []string{"FAPI 1.0 Security Profile, Part 2"}, Title: "Security Profile, Part 2", Address: openID + "openid-financial-api-part-2-1_0.html"},
		{Name: "FAPI-CIBA", Title: "FAPI: Client Initiated Backchannel Authentication Profile"},
		{Name: "JARM", Title: "JWT Secured Authorization Response Mode for OAuth 2.0", Address: openID + "oauth-v2-jarm-final.html"},
		{Name: "CIBA Core", Title: "OpenID Connect Client-Initiated Backchannel Authentication Flow, Core", Address: openID + "openid-client-initiated-backchannel-authentication-core-1_0.html"},
		{Name: "OpenID Connect Core Unmet Authentication Requirements"},
		{Name: "OpenID Connect Core", Address: openID + "openid-connect-core-1_0.html"},
		{Name: "OpenID Connect Discovery", Address: openID + "openid-connect-discovery-1_0.html"},
		{Name: "OpenID Connect Registration", Also: []string{"OpenID Connect Dynamic Client Registration"}, Title: "Dynamic Client Registration", Address: openID + "openid-connect-registration-1_0.html"},
		{Name: "Initiating User Registration", Title: "via OpenID Connect"},
		{Name: "OAuth 2.0 Multiple Response Type Encoding Practices", Address: openID + "oauth-v2-multiple-response-types-1_0.html"},
		{Name: "OAuth 2.0 Form Post Response Mode", Address: openID + "oauth-v2-form-post-response-mode-1_0.html"},
		{Name: "WebAuthn Level 3", Also: []string{"WebAuthn"}, Often: true, Title: "Web Authentication", Address: "https://www.w3.org/TR/webauthn-3/"},
		{Name: "Content Security Policy Level 3", Also: []string{"CSP Level 3"}, Address: "https://www.w3.org/TR/CSP3/"},
		{Name: "PKCS #11", Also: []string{"PKCS #11 v3.0", "PKCS #11 v3.1", "PKCS#11 v3.1", "PKCS#11"}, Often: true, Title: "Cryptographic token interface, versions 3.0 and 3.1"},
		{Name: "NIST SP 800-63B-4", Title: "Digital Identity Guidelines: Authentication"},
		{Name: "SEC 1", Title: "Elliptic Curve Cryptography"},
	}
}

// titles are those of the RFCs that sources name.
func titles() map[string]string {
	return map[string]string{
		"RFC 1779": "Distinguished names as strings, 1995",
		"RFC 1918": "Private IPv4 addresses",
		"RFC 2253": "Distinguished names as strings, 1997",
		"RFC 2544": "Benchmarking of network devices",
		"RFC 2928": "IPv6 sub-TLA assignments",
		"RFC 3279": "Algorithms of X.509 certificates and CRLs",
		"RFC 3339": "Timestamps",
		"RFC 3454": "stringprep",
		"RFC 3739": "Qualified certificates",
		"RFC 3849": "IPv6 documentation addresses",
		"RFC 3986": "URI syntax",
		"RFC 4055": "RSA keys and signatures in certificates",
		"RFC 4180": "CSV",
		"RFC 4193": "Unique local IPv6 addresses",
		"RFC 4512": "LDAP models",
		"RFC 4514": "Distinguished names as strings",
		"RFC 4517": "LDAP matching rules",
		"RFC 4518": "LDAP string preparation",
		"RFC 4519": "LDAP schema for user applications",
		"RFC 4648": "Base64",
		"RFC 5180": "Benchmarking of IPv6 devices",
		"RFC 5280": "X.509 certificates and CRLs",
		"RFC 5322": "Internet messages",
		"RFC 5737": "IPv4 documentation addresses",
		"RFC 5952": "IPv6 addresses as text",
		"RFC 5789": "PATCH Method for HTTP",
		"RFC 8252": "OAuth 2.0 for Native Apps",
		"RFC 6454": "The Web Origin Concept",
		"RFC 5892": "Unicode Code Points and IDNA",
		"RFC 6052": "IPv6 addresses of IPv4 translators",
		"RFC 6585": "Additional HTTP status codes",
		"RFC 6598": "Shared IPv4 addresses",
		"RFC 6749": "The OAuth 2.0 authorization framework",
		"RFC 6750": "Bearer tokens",
		"RFC 6797": "HTTP Strict Transport Security",
		"RFC 6890": "Special-purpose address registries",
		"RFC 6901": "JSON Pointer",
		"RFC 6960": "OCSP",
		"RFC 7009": "Token revocation",
		"RFC 7468": "PEM",
		"RFC 7512": "PKCS #11 URIs",
		"RFC 7493": "The I-JSON Message Format",
		"RFC 7515": "JSON Web Signature (JWS)",
		"RFC 7516": "JSON Web Encryption (JWE)",
		"RFC 7517": "JSON Web Key (JWK)",
		"RFC 7518": "JSON Web Algorithms (JWA)",
		"RFC 7519": "JSON Web Token (JWT)",
		"RFC 7523": "JWTs for client authentication",
		"RFC 7591": "Dynamic client registration",
		"RFC 7592": "Dynamic client registration management",
		"RFC 7636": "PKCE",
		"RFC 7638": "JWK thumbprint",
		"RFC 7662": "Token introspection",
		"RFC 7800": "Proof-of-possession keys in JWTs (cnf)",
		"RFC 8030": "HTTP push",
		"RFC 8032": "EdDSA",
		"RFC 8037": "EdDSA in JOSE",
		"RFC 8089": "file URIs",
		"RFC 8176": "Authentication method references (amr)",
		"RFC 8259": "JSON",
		"RFC 8265": "Preparation of user names and passwords",
		"RFC 8292": "Voluntary identification for web push (VAPID)",
		"RFC 8414": "Authorization server metadata",
		"RFC 8705": "Mutual TLS: client authentication and certificate-bound tokens",
		"RFC 8707": "Resource indicators",
		"RFC 8725": "JWT best current practices",
		"RFC 8941": "Structured fields (obsoleted by RFC 9651)",
		"RFC 9052": "COSE",
		"RFC 9068": "JWT access tokens",
		"RFC 9101": "JWT-secured authorization requests (JAR)",
		"RFC 9106": "Argon2",
		"RFC 9110": "HTTP semantics",
		"RFC 9111": "HTTP caching",
		"RFC 9112": "HTTP/1.1",
		"RFC 9126": "Pushed authorization requests (PAR)",
		"RFC 9207": "Issuer in authorization responses",
		"RFC 9325": "Recommendations for TLS",
		"RFC 9396": "Rich authorization requests (RAR)",
		"RFC 9421": "HTTP message signatures",
		"RFC 9440": "Client-Cert header field",
		"RFC 9449": "DPoP",
		"RFC 9493": "Subject identifiers",
		"RFC 9525": "Service identity in TLS",
		"RFC 9530": "Digest fields",
		"RFC 9562": "UUIDs",
		"RFC 9637": "More IPv6 documentation addresses",
		"RFC 9651": "Structured fields",
		"RFC 9700": "OAuth 2.0 security best current practice",
		"RFC 9701": "Signed token introspection",
		"RFC 9728": "Protected resource metadata",
		"RFC 9864": "Fully specified algorithms",
		"RFC 9964": "ML-DSA in JOSE",
	}
}
