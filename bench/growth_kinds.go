package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// kind is what two databases have different numbers of.
type kind struct {
	name string
	// fill has so many made from what is there, such as the one client that is registered; nil for grants, which are made before.
	fill func(d dialect, many int) string
}

// dialect is how a kind of database says some things.
type dialect struct {
	// series has a number n for each up to %d.
	series string
	// now is the time, as the store writes it.
	now string
}

func postgresDialect() dialect { return dialect{"generate_series(1, %d) n", "now()"} }

func sqliteDialect(now time.Time) dialect {
	return dialect{"(SELECT value AS n FROM generate_series(1, %d)) s", fmt.Sprint(now.UnixMicro())}
}

func kinds() []kind {
	return []kind{
		{name: "grants"},
		// With the password and the claims of the one who is there, and a name and an identifier of their own.
		{"people", func(d dialect, many int) string {
			return fmt.Sprintf(`INSERT INTO users (subject, username, password, claims, disabled, created_at, updated_at)
				SELECT 'grown-' || n, 'grown-' || n, password, claims, disabled, created_at, updated_at
				FROM users CROSS JOIN `+d.series+` WHERE username = 'alice'`, many)
		}},
		{"clients", func(d dialect, many int) string {
			return fmt.Sprintf(`INSERT INTO clients (id, profile, metadata, disabled, version, created_at, updated_at)
				SELECT 'grown-' || n, profile, metadata, disabled, version, created_at, updated_at
				FROM clients CROSS JOIN `+d.series+` WHERE id = 'bench'`, many)
		}},
		// Of a node that there was before, each as long as one usually is: this node appends to a chain of its own.
		{"audit lines", func(d dialect, many int) string {
			return fmt.Sprintf(`DELETE FROM audit_log WHERE chain = 'grown'; INSERT INTO audit_log (chain, sequence, line)
				SELECT 'grown', n, '{"sequence":' || n || ',"event":"tokens_issued","detail":"' || '%s' || '"}' FROM `+d.series, strings.Repeat("0", 700), many)
		}},
	}
}

func kindNames() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

func kindOf(name string) (kind, bool) {
	all := kinds()
	if at := slices.IndexFunc(all, func(k kind) bool { return k.name == name }); at >= 0 {
		return all[at], true
	}
	return kind{}, false
}
