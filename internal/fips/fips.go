// Package fips reports how the program uses Go's FIPS 140-3 cryptographic module, and names what it refuses in the mode in which
// nothing else is allowed (GODEBUG=fips140=only). What is refused is refused where it would be used, by crypto/fips140.Enforced.
package fips

import (
	"context"
	"crypto/fips140"
	"log/slog"
	"runtime/debug"
	"strings"
)

// Mode is what the program was started with.
type Mode string

// The modes of GODEBUG=fips140.
const (
	// Off: the module is not in FIPS 140-3 mode.
	Off Mode = "off"
	// On: it is, and checks itself; what is not approved works all the same.
	On Mode = "on"
	// Only: what is not approved is refused.
	Only Mode = "only"
)

// State is the mode, and the module.
type State struct {
	Mode Mode `json:"mode"`
	// Module is the frozen version that was linked in (GOFIPS140), such as "v1.0.0-c2097c7c"; "latest" for that of the Go release.
	Module string `json:"module"`
}

// Read returns the state of the running program, which does not change.
func Read() State {
	state := State{Mode: Off, Module: "latest"}
	switch {
	case fips140.Enforced():
		state.Mode = Only
	case fips140.Enabled():
		state.Mode = On
	}
	if built, ok := debug.ReadBuildInfo(); ok {
		state.Module = module(built.Settings)
	}
	return state
}

// module is the version that a build was made with. Go records GOFIPS140 where it is not off, and "latest" is no frozen one.
func module(settings []debug.BuildSetting) string {
	for _, setting := range settings {
		if setting.Key == "GOFIPS140" && setting.Value != "off" && setting.Value != "" {
			return setting.Value
		}
	}
	return "latest"
}

// String is for people: "only, module v1.0.0-c2097c7c".
func (s State) String() string { return string(s.Mode) + ", module " + s.Module }

// Refusal is something that is not approved.
type Refusal struct {
	// What is refused, and Instead what there is in its place.
	What, Instead string
}

// Refused lists what works otherwise and is refused in the mode [Only]. docs/fips.md has the same list.
func Refused() []Refusal {
	return []Refusal{
		{"Argon2id", "passwords and user codes are hashed with PBKDF2-HMAC-SHA-256; hashes made before have to be set again"},
		{"A128GCM and A256GCM in JWE", "A128CBC-HS256 and A256CBC-HS512"},
		{"RSA-OAEP", "RSA-OAEP-256 and ECDH-ES"},
		{"signer.development_key_file", "SoftHSM2 to try, an HSM to serve"},
		{"SHA-1 in OCSP requests", "SHA-256; what a responder does not know by that, revocation lists tell"},
		{"X25519 and ChaCha20-Poly1305 in TLS", "P-256, P-384, P-521 and AES-GCM"},
		{"MD5 authentication at PostgreSQL", "scram-sha-256 or a certificate"},
		{"XChaCha20-Poly1305 in package rp/session", "none: sessions there are not made"},
	}
}

// Log says at every start in which mode the program is, unless that is [Off], and what it refuses.
func Log(ctx context.Context, log *slog.Logger) { Read().log(ctx, log) }

func (s State) log(ctx context.Context, log *slog.Logger) {
	switch s.Mode {
	case On:
		log.InfoContext(ctx, "FIPS 140-3 mode; what is not approved works all the same", "module", s.Module)
	case Only:
		var refused []string
		for _, each := range Refused() {
			refused = append(refused, each.What)
		}
		log.InfoContext(ctx, "FIPS 140-3 is enforced; what is not approved is refused", "module", s.Module, "refused", strings.Join(refused, ", "))
	}
}
