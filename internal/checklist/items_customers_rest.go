package checklist

// handOffRest lists what else a login of the operator's own is held to.
func handOffRest() []Item {
	return []Item{
		{ID: "KE-48", Section: "OWASP ASVS 5.0 §7.4.2", Requires: "what ends all sign-ins of a user ends one that is on its way back from the login, on every node"},
	}
}
