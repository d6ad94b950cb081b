package config

import (
	"slices"
	"strings"
)

// account wants both of its keys or none.
func (c *collector) account(config *Config) {
	a := config.Account
	c.knownScopes("account.scope", a.Scope, config)
	switch one := len(strings.Fields(a.Scope)); {
	case c.bad("account.scope"):
	case one > 1:
		c.add("account.scope", quote(a.Scope), "must be one scope")
	case one == 1 && strings.TrimSpace(a.Clients) == "":
		c.add("account.clients", quote(a.Clients), "names nobody: who may use the scope %s?", a.Scope)
	case one == 0 && strings.TrimSpace(a.Clients) != "":
		c.add("account.scope", quote(a.Scope), "is empty: with which scope may they use the API?")
	case slices.Contains(strings.Fields(config.Registration.Scopes), a.Scope) && one == 1:
		c.add("registration.scopes", quote(config.Registration.Scopes), "%s is for your own applications alone (account.scope)", a.Scope)
	}
}
