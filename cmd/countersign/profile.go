package main

import (
	"cmp"
	"strconv"
	"strings"

	"countersign/fapi/profile"
	"countersign/internal/admin"
	"countersign/internal/console"
)

// profileCommand shows the security profiles.
type profileCommand struct {
	List    profileList    `cmd:"" help:"List the profiles: bases, and the presets of ecosystems on each of their bases."`
	Explain profileExplain `cmd:"" help:"Show every rule of a profile, and the text that asks for it."`
	Diff    profileDiff    `cmd:"" help:"Show the rules in which two profiles differ."`
}

// Help implements kong.HelpProvider.
func (profileCommand) Help() string {
	return `A profile is a base, a preset of an ecosystem (on its default base), or PRESET/BASE.

Examples:
  countersign profile list
  countersign profile explain brazil-openfinance
  countersign profile explain uk-openbanking/fapi2-message-signing --json
  countersign profile diff fapi1-advanced au-cdr`
}

type profileList struct {
	jsonLines
}

// Run implements the command.
func (l profileList) Run(p *program) error {
	return console.List(p.stdout, l.JSON, profile.List(), []string{"NAME", "BASE", "RULES", "TITLE"}, func(each profile.Listed) []string {
		return []string{each.Name, each.Base, strconv.Itoa(each.Rules), each.Title}
	})
}

type profileExplain struct {
	Name string `arg:"" help:"BASE, PRESET or PRESET/BASE."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run implements the command.
func (e profileExplain) Run(p *program) error {
	rules, err := profile.Explain(e.Name)
	if err != nil {
		return admin.Usagef("%s", err)
	}
	preset, base, _ := profile.Split(e.Name)
	notes, title := []string{}, ""
	for _, known := range profile.Presets() {
		if known.Name == preset {
			notes, title = known.Notes, known.Title
		}
	}
	if e.JSON {
		return p.printJSON(struct {
			Name   string              `json:"name"`
			Preset string              `json:"preset,omitempty"`
			Base   string              `json:"base"`
			Title  string              `json:"title,omitempty"`
			Notes  []string            `json:"notes"`
			Rules  []profile.Explained `json:"rules"`
		}{e.Name, preset, base, title, notes, rules})
	}
	if title != "" {
		p.printf("%s, on %s\n", title, base)
	}
	for _, note := range notes {
		p.printf("- %s\n", note)
	}
	table := p.table("RULE", "VALUE", "OF", "SOURCE", "DATE")
	for _, rule := range rules {
		lines := strings.Split(rule.Value, "; ")
		table.Row(rule.Rule, lines[0], cmp.Or(rule.Preset, base), strings.TrimSpace(rule.Source+" "+rule.Section), rule.Date)
		for _, line := range lines[1:] {
			table.Row("", line, "", "", "")
		}
	}
	return table.Flush()
}

type profileDiff struct {
	A string `arg:"" help:"BASE, PRESET or PRESET/BASE."`
	B string `arg:"" help:"The other."`
	jsonLines
}

// Run implements the command.
func (d profileDiff) Run(p *program) error {
	differences, err := profile.Diff(d.A, d.B)
	if err != nil {
		return admin.Usagef("%s", err)
	}
	if d.JSON {
		return console.WriteJSONLines(p.stdout, differences)
	}
	table := p.table("RULE", d.A, d.B)
	for _, each := range differences {
		a, b := strings.Split(cmp.Or(each.A, "-"), "; "), strings.Split(cmp.Or(each.B, "-"), "; ")
		rule := each.Rule
		for i := range max(len(a), len(b)) {
			table.Row(rule, line(a, i), line(b, i))
			rule = ""
		}
	}
	return table.Flush()
}

// line is one of the lines of a cell, or empty.
func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}
