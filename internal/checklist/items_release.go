package checklist

// releases lists what an operator gets, installs and runs, and what FIPS 140-3 changes of it.
func releases() []Group {
	return []Group{{
		Code:  "NM",
		Title: "Operation: releases, installation, FIPS 140-3",
		Items: []Item{
			{ID: "NM-100", Section: "SemVer 2.0.0", Requires: "version says tag, commit, time, schema range, Go, and FIPS 140-3 mode and module"},
			{ID: "NM-101", Section: "reproducible-builds.org, SOURCE_DATE_EPOCH", Requires: "the same commit gives the same bytes in another folder; what is no commit is no release"},
			{ID: "NM-102", Section: "OpenSSH PROTOCOL.sshsig", Requires: "digests are signed; ordinary tools verify them; what was changed, added or left out is refused"},
			{ID: "NM-103", Section: "CycloneDX 1.6", Requires: "the list of components is exactly that of the binary"},
			{ID: "NM-104", Section: "Keep a Changelog 1.1.0, deb-version(7)", Requires: "a release is in the changelog, and packages sort as versions do"},
			{ID: "NM-105", Section: "sd_notify(3), sd_watchdog_enabled(3)", Requires: "systemd is told of ready, reload, stop and life; a process that hangs is silent"},
			{ID: "NM-106", Section: "file-hierarchy(7)", Requires: "init lays out configuration and state with owner and mode, says each, and may be repeated"},
			{ID: "NM-107", Section: "systemd.exec(5)", Requires: "the unit's exposure is 2.0 at most, with each HSM's drop-in too"},
			{ID: "NM-108", Section: "Debian Policy §6, §10.7", Requires: "the package starts nothing unconfigured, keeps keys and configuration through upgrade, removal and a purge that does not say otherwise"},
			{ID: "NM-109", Section: "docs/install.md", Requires: "from the package to the first token by the page alone, in the service with its hardening"},
			{ID: "NM-110", Section: "systemd.service(5)", Requires: "the service is ready, reloads, is restarted when it hangs, stops in order, and is not restarted with a wrong configuration"},
			{ID: "NM-112", Section: "FIPS 140-3", Requires: "version, doctor, log and metrics say mode and module; the page names all that is refused"},
			{ID: "NM-113", Section: "SP 800-132, OWASP Password Storage Cheat Sheet", Requires: "passwords are hashed with PBKDF2 where FIPS 140-3 is enforced; Argon2id signs nobody in there"},
			{ID: "NM-114", Section: "FIPS 140-3", Requires: "MD5 at PostgreSQL is refused before it is computed"},
			{ID: "NM-115", Section: "SP 800-132", Requires: "a refused PIN is remembered without Argon2id"},
			{ID: "NM-116", Section: "SP 800-38D, SP 800-56B", Requires: "JWE has neither AES-GCM nor SHA-1 where FIPS 140-3 is enforced, and the rest works"},
			{ID: "NM-117", Section: "RFC 6960 §4.1.1", Requires: "OCSP requests name the issuer by SHA-256 there"},
			{ID: "NM-118", Section: "FIPS 140-3", Requires: "development keys do not start there, with one clear line from serve, doctor and config print"},
			{ID: "NM-119", Section: "FIPS 140-3", Requires: "the server, its worker and SoftHSM2 serve the whole flow there"},
		},
	}}
}
