package arch

// relyingParties are the packages for clients of any provider: nothing of the server is among them.
func relyingParties() []Package {
	return []Package{
		{"rp", []string{
			"internal/correlation", "internal/pause", "internal/random", "rp/client", "rp/internal/challenge", "rp/internal/claim", "rp/internal/reread",
			"rp/internal/transaction", "rp/internal/web", "rp/session",
		}},
		{"rp/internal/challenge", nil},
		{"rp/internal/claim", nil},
		{"rp/internal/reread", []string{"rp/client", "rp/internal/signed"}},
		{"rp/internal/transaction", []string{"rp/client", "rp/session"}},
		{"rp/internal/web", nil},
		{"rp/session", []string{"internal/random"}},
		{"rp/session/sqlstore", []string{"rp/session"}},
		{"rp/session/sessiontest", []string{"rp/session"}},
		{"rp/client", []string{
			"internal/jose", "internal/keyset", "internal/pause", "internal/random", "internal/strictjson",
			"rp/internal/answer", "rp/internal/bound", "rp/internal/exchange", "rp/internal/keys",
			"rp/internal/metadata", "rp/internal/parameter", "rp/internal/proof", "rp/internal/signed", "rp/internal/statement",
		}},
		{"rp/client/providertest", []string{"internal/jose"}},
		{"rp/internal/answer", []string{"internal/strictjson", "rp/internal/exchange"}},
		{"rp/internal/bound", []string{"internal/random", "rp/internal/exchange", "rp/internal/proof"}},
		{"rp/internal/exchange", []string{"internal/random"}},
		{"rp/internal/keys", []string{"internal/jose"}},
		{"rp/internal/metadata", []string{"internal/jose", "internal/strictjson"}},
		{"rp/internal/parameter", nil},
		{"rp/internal/proof", []string{"internal/jose"}},
		{"rp/internal/signed", []string{"internal/jose", "internal/strictjson"}},
		{"rp/internal/statement", []string{"internal/jose"}},
	}
}
