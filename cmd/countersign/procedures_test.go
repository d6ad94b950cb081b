package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// proceduresPage is the page with the procedures.
const proceduresPage = "../../docs/operations.md"

// step is a command of a listing, and the lines that it is shown to print.
type step struct {
	command string
	prints  []string
}

// sectionListings are the listings of a section of a page, with the commands behind prompts and what they print.
func sectionListings(page, section string) ([][]step, error) {
	_, after, found := strings.Cut(page, "\n### "+section+"\n")
	if !found {
		return nil, fmt.Errorf("there is no section %q", section)
	}
	if end := regexp.MustCompile(`(?m)^##+ `).FindStringIndex(after); end != nil {
		after = after[:end[0]]
	}
	var all [][]step
	for _, listing := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(after, -1) {
		var steps []step
		for line := range strings.Lines(strings.ReplaceAll(listing[1], "\\\n", " ")) {
			line = strings.TrimRight(line, "\n")
			command, prompted := strings.CutPrefix(line, "$ ")
			if !prompted {
				command, prompted = strings.CutPrefix(line, "# ")
			}
			switch {
			case prompted:
				steps = append(steps, step{command: command})
			case len(steps) == 0:
				return nil, fmt.Errorf("%s: a listing begins with %q", section, line)
			default:
				last := &steps[len(steps)-1]
				last.prints = append(last.prints, line)
			}
		}
		all = append(all, steps)
	}
	return all, nil
}

// differs are the words of an output that another run has otherwise: times, and what is made at random. What is left out is
// an ellipsis.
var differs = regexp.MustCompile(`…|\d{4}-\d\d-\d\dT[0-9:.]+Z|[A-Za-z0-9_-]{43}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}| {2,}`)

// pattern is what a line of an output has to match. Identifiers that were met before have the value of this run, others are named
// to be remembered: groups are their numbers in order.
func pattern(line string, known map[string]string) (*regexp.Regexp, []string) {
	var text strings.Builder
	var unknown []string
	last := 0
	for _, at := range differs.FindAllStringIndex(line, -1) {
		text.WriteString(regexp.QuoteMeta(line[last:at[0]]))
		word := line[at[0]:at[1]]
		last = at[1]
		switch {
		case word == "…":
			text.WriteString(`.*`)
		case strings.TrimSpace(word) == "":
			text.WriteString(` +`)
		case strings.Contains(word, "T") && strings.HasSuffix(word, "Z") && len(word) < 43:
			text.WriteString(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
		case known[word] != "":
			text.WriteString(regexp.QuoteMeta(known[word]))
		default:
			unknown = append(unknown, word)
			text.WriteString(`([A-Za-z0-9_-]+)`)
		}
	}
	text.WriteString(regexp.QuoteMeta(line[last:]))
	return regexp.MustCompile(`^\s*` + text.String() + `\s*$`), unknown
}

// compare finds each line that is shown among those that were printed, in order, and remembers identifiers.
func compare(shown []string, printed string, known map[string]string) error {
	lines := strings.Split(printed, "\n")
	for _, want := range shown {
		if strings.TrimSpace(want) == "…" {
			continue
		}
		expression, unknown := pattern(want, known)
		var found []string
		for len(lines) > 0 && found == nil {
			found = expression.FindStringSubmatch(lines[0])
			lines = lines[1:]
		}
		if found == nil {
			return fmt.Errorf("%q is not in what it printed, or not in its place", want)
		}
		for n, word := range unknown {
			known[word] = found[n+1]
		}
	}
	return nil
}

// procedure is a section of the page, followed in an installation.
type procedure struct {
	t      *testing.T
	i      *installation
	server *running
	// known are identifiers of the page with their values in this run.
	known map[string]string
	// places are names of the page with what they are in this run.
	places []string
	// before is what happens before a listing: what the procedure is about.
	before map[int]func()
}

// follow runs the commands of a section, and compares what they print.
func (p *procedure) follow(section string) {
	p.t.Helper()
	page, err := os.ReadFile(proceduresPage)
	if err != nil {
		p.t.Fatal(err)
	}
	all, err := sectionListings(string(page), section)
	if err != nil {
		p.t.Fatal(err)
	}
	for n, listing := range all {
		if happens := p.before[n]; happens != nil {
			happens()
		}
		for _, one := range listing {
			p.run(one)
		}
	}
	if len(all) < len(p.before) {
		p.t.Errorf("%d listings in %q", len(all), section)
	}
}

// run runs a step. What is asked again and again in practice, health and the log, is waited for.
func (p *procedure) run(s step) {
	p.t.Helper()
	if p.service(s.command) {
		return
	}
	began, patience := time.Now(), time.Duration(0)
	if name, _, _ := strings.Cut(s.command, " "); name == "curl" || name == "journalctl" {
		patience = 20 * time.Second
	}
	for {
		printed, err := p.shell(s.command)
		if err == nil {
			err = compare(s.prints, printed, p.known)
		}
		if err == nil {
			return
		}
		if time.Since(began) > patience {
			p.t.Fatalf("%s: %v; it printed\n%s", s.command, err, printed)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// service does what systemctl does.
func (p *procedure) service(command string) bool {
	switch command {
	case "systemctl stop countersign":
		p.server.ends()
		p.i.client.CloseIdleConnections()
	case "systemctl start countersign":
		p.server = p.i.serve()
	case "systemctl restart countersign":
		p.server.ends()
		p.i.client.CloseIdleConnections()
		p.server = p.i.serve()
	case "systemctl reload countersign":
		p.server.signal(syscall.SIGHUP)
	default:
		return false
	}
	return true
}

// shell runs a command as it is written, but for the names of places and identifiers.
func (p *procedure) shell(command string) (string, error) {
	p.t.Helper()
	for word, value := range p.known {
		command = strings.ReplaceAll(command, word, value)
	}
	command = strings.NewReplacer(p.places...).Replace(command)
	log := filepath.Join(p.i.folder, "journal")
	if err := os.WriteFile(log, []byte(p.server.logs.String()), 0o600); err != nil {
		p.t.Fatal(err)
	}
	// curl trusts the authority of this installation.
	if err := os.WriteFile(filepath.Join(p.i.folder, ".curlrc"), fmt.Appendf(nil, "cacert = %q\nsilent\n", filepath.Join(p.i.folder, "tls/ca.crt")), 0o600); err != nil {
		p.t.Fatal(err)
	}
	run := exec.Command("sh", "-c", `journalctl() { cat "$JOURNAL"; }`+"\n"+command)
	run.Dir = p.i.folder
	run.Env = append(os.Environ(), "COUNTERSIGN_CONFIG="+p.i.config(), "CURL_HOME="+p.i.folder, "JOURNAL="+log)
	printed, err := run.CombinedOutput()
	back := p.places
	text := string(printed)
	for n := 0; n+1 < len(back); n += 2 {
		text = strings.ReplaceAll(text, back[n+1], back[n])
	}
	if os.Getenv("SHOW_PROCEDURES") != "" {
		p.t.Logf("$ %s\n%s", command, text)
	}
	return text, err
}

// newProcedure is a serving installation, as the page has it.
func newProcedure(t *testing.T, i *installation) *procedure {
	t.Helper()
	i.t = t
	return &procedure{t: t, i: i, known: map[string]string{}, before: map[int]func(){}, places: []string{
		"https://id.bank.example", "https://" + i.address,
		"id.bank.example:443", i.address,
		"/var/lib/countersign/countersign.db", filepath.Join(i.folder, "countersign.db"),
		"/etc/countersign", i.folder,
		"/backup", t.TempDir(),
	}}
}

// Covers: NM-129. What compares the page with what happens notices when they differ.
func TestNM129Compare(t *testing.T) {
	const kid, other = "BiuHXAQVKXM_Jvnh9qBPohzWBReNZzboQH88DXP9Wdc", "ySY0ijmxGqfWXOUeG8gmfJ5ebtdq26nZiZxsIBbCjBg"
	shown := []string{"KID                                          STATE", kid + "  active  2026-11-30T19:53:22Z", "took …", "…"}
	t.Run("accepts other times and identifiers, and lines between", func(t *testing.T) {
		known := map[string]string{}
		printed := "KID  STATE\nanother line\n" + other + "  active      2027-01-01T00:00:00Z\ntook 3 ms\n"
		if err := compare(shown, printed, known); err != nil || known[kid] != other {
			t.Errorf("%v %v", err, known)
		}
		if err := compare([]string{kid + " active"}, other+" active", known); err != nil {
			t.Error(err)
		}
	})
	for what, printed := range map[string]string{
		"another state":            "KID STATE\n" + other + "  retired  2027-01-01T00:00:00Z\ntook 3 ms\n",
		"a line that is missing":   "KID STATE\n" + other + "  active  2027-01-01T00:00:00Z\n",
		"lines in another order":   other + "  active  2027-01-01T00:00:00Z\nKID STATE\ntook 3 ms\n",
		"a line with more in it":   "KID STATE USES\n" + other + "  active  2027-01-01T00:00:00Z\ntook 3 ms\n",
		"no output":                "",
		"a time that is not shown": "KID STATE\n" + other + "  active  -\ntook 3 ms\n",
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			if err := compare(shown, printed, map[string]string{}); err == nil {
				t.Error("it is taken")
			}
		})
	}
	t.Run("refuses another key under the name of one that was met", func(t *testing.T) {
		if err := compare([]string{kid + " active"}, kid+" active", map[string]string{kid: other}); err == nil {
			t.Error("it is taken")
		}
	})
	t.Run("refuses a section that is not there", func(t *testing.T) {
		if _, err := sectionListings("### Other\n", "None"); err == nil {
			t.Error("there is one")
		}
	})
}
