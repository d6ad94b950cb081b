package checklist

// firstNight lists what releases, installations and charts have to do beyond the first time.
func firstNight() []Group {
	return []Group{{"NM", "Operation: signed by hardware, hardened, seen through", []Item{
		{ID: "NM-220", Section: "OpenSSH PROTOCOL.agent, PKCS #11", Requires: "a release is signed by a key that only an agent has, also one in an HSM, and verifies as any other"},
		{ID: "NM-221", Section: "RFC 7677, SP 800-132 §5", Requires: "SCRAM-SHA-256 at PostgreSQL works where FIPS 140-3 is enforced, with short passwords too"},
		{ID: "NM-222", Section: "systemd.exec(5)", Requires: "in the service with all its hardening an HSM's module works by its drop-in, and not without"},
		{ID: "NM-223", Section: "operation", Requires: "doctor and the server agree on what is wrong, in the same words"},
		{ID: "NM-224", Section: "Helm, Kubernetes API 1.30", Requires: "values say together what Kubernetes takes and the server accepts, however odd; secrets may come from outside of Kubernetes"},
		{ID: "NM-225", Section: "operation", Requires: "exit codes tell what was done, refused, and never tried, the same for all commands"},
	}}}
}
