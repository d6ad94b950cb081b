//go:build root && linux

package release_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/internal/release"
	"countersign/internal/release/machine"
)

// blocks are the listings of commands for root in a page: each a script, in which what follows a prompt, a continued line or a document
// stays as it is.
func blocks(t *testing.T, page string) (scripts []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, listing := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		scripts = append(scripts, regexp.MustCompile(`(?m)^# `).ReplaceAllString(listing[1], ""))
	}
	return scripts
}

// installed has the package in /root of a machine that has never run.
func machineWithPackage(t *testing.T) *machine.Machine {
	t.Helper()
	_, out := made(t)
	m := machine.New(t)
	name := "countersign_" + release.DebianVersion(at) + "_amd64.deb"
	text, err := os.ReadFile(filepath.Join(out, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.Root, "root", name), text, 0o644); err != nil {
		t.Fatal(err)
	}
	return m
}

// Covers: NM-108, NM-109, NM-110. TestNM108Install: docs/install.md leads from the package to a token signed in an HSM, on a minimal Debian,
// in a service with all its hardening; an upgrade and a removal keep what the operator has.
func TestNM108Install(t *testing.T) {
	m := machineWithPackage(t)
	m.Boot(t)
	scripts := blocks(t, "../../docs/install.md")
	if len(scripts) < 7 {
		t.Fatalf("%d listings", len(scripts))
	}
	began := time.Now()

	// NM-108: the package.
	said := m.Run(t, scripts[0])
	t.Run("accepts the package, and says what is next", func(t *testing.T) {
		if !strings.Contains(said, "countersign init --system --issuer") || !strings.Contains(said, "docs/install.md") {
			t.Errorf("%s", said)
		}
		out := m.Run(t, `stat -c '%U:%G %a %n' /etc/countersign /var/lib/countersign /usr/bin/countersign; dpkg-query -W -f '${Conffiles}' countersign; getent passwd countersign
			ls /usr/share/doc/countersign/docs/install.md /usr/share/doc/countersign/copyright /usr/share/doc/countersign/changelog.gz`)
		for _, want := range []string{
			"root:countersign 750 /etc/countersign", "countersign:countersign 700 /var/lib/countersign", "root:root 755 /usr/bin/countersign",
			" /etc/default/countersign ", ":/var/lib/countersign:/usr/sbin/nologin",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%s is not in\n%s", want, out)
			}
		}
	})
	t.Run("refuses to start before there is a configuration", func(t *testing.T) {
		out, _ := m.Try(t, "systemctl start countersign; systemctl show -p ActiveState,ConditionResult,UnitFileState countersign")
		for _, want := range []string{"ActiveState=inactive", "ConditionResult=no", "UnitFileState=disabled"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s is not in %s", want, out)
			}
		}
	})

	// NM-109: the page, command by command.
	var last string
	for _, script := range scripts[1:] {
		out, err := m.Try(t, script)
		if err != nil {
			journal, _ := m.Try(t, "journalctl -q -o cat -u countersign | tail -30")
			t.Fatalf("%s\n%v: %s\n%s", script, err, out, journal)
		}
		last = out
	}
	t.Run("accepts the page from the package to the first token", func(t *testing.T) {
		var answer struct {
			Token string `json:"access_token"`
			Kind  string `json:"token_type"`
		}
		if err := json.Unmarshal([]byte(last[strings.LastIndex(last, "{"):]), &answer); err != nil || strings.Count(answer.Token, ".") != 2 || answer.Kind != "Bearer" {
			t.Errorf("%v: %s", err, last)
		}
		t.Logf("from the package to the token: %s", time.Since(began).Round(time.Second))
	})
	t.Run("refuses the token endpoint without the certificate", func(t *testing.T) {
		out, err := m.Try(t, "curl --fail --silent --show-error --cacert /etc/countersign/tls/server.crt --data grant_type=client_credentials --data client_id=first https://localhost:8444/token")
		if err == nil || !strings.Contains(out, "401") && !strings.Contains(out, "400") {
			t.Errorf("%v: %s", err, out)
		}
	})

	// NM-110: the service.
	t.Run("accepts to be looked after by systemd: ready, reload, watchdog, stop", func(t *testing.T) {
		m.Run(t, "mkdir -p /run/systemd/system/countersign.service.d; printf '[Service]\nWatchdogSec=2s\n' > /run/systemd/system/countersign.service.d/soon.conf; systemctl daemon-reload; systemctl restart countersign")
		m.Run(t, "systemctl reload countersign && sleep 3 && systemctl is-active countersign") // longer than the watchdog
		before := m.Run(t, "systemctl show -p MainPID --value countersign")
		m.Run(t, "kill -STOP $(systemctl show -p MainPID --value countersign)")
		out := m.Run(t, `for i in $(seq 80); do now=$(systemctl show -p MainPID --value countersign); [ "$now" != 0 ] && [ "$now" != `+strings.TrimSpace(before)+` ] && systemctl is-active countersign && break; sleep 0.25; done
			systemctl show -p NRestarts,ActiveState countersign`)
		if !strings.Contains(out, "NRestarts=1") || !strings.Contains(out, "ActiveState=active") {
			t.Errorf("after it hung: %s", out)
		}
		if out := m.Run(t, "journalctl -q -u countersign -o cat | grep -c 'SIGHUP'"); strings.TrimSpace(out) != "1" {
			t.Errorf("reloads: %s", out)
		}
		out = m.Run(t, "systemctl stop countersign; systemctl show -p Result,ExecMainStatus,ActiveState countersign")
		for _, want := range []string{"Result=success", "ExecMainStatus=0", "ActiveState=inactive"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s is not in %s", want, out)
			}
		}
	})
	t.Run("refuses to be restarted for ever with a wrong configuration", func(t *testing.T) {
		out := m.Run(t, `cp -a /etc/countersign/countersign.toml /root/right.toml; echo nonsense >> /etc/countersign/countersign.toml
			systemctl start countersign || true; sleep 3; systemctl show -p NRestarts,ExecMainStatus,ActiveState countersign
			cp -a /root/right.toml /etc/countersign/countersign.toml; systemctl reset-failed countersign; systemctl start countersign; systemctl is-active countersign`)
		for _, want := range []string{"NRestarts=0", "ExecMainStatus=2", "ActiveState=failed", "\nactive"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s is not in %s", want, out)
			}
		}
	})

	// NM-108 again: what the package does to what is there.
	digest := `find /etc/countersign /var/lib/countersign/tokens -type f | sort | xargs sha256sum; stat -c '%U:%G %a %n' /etc/countersign /var/lib/countersign`
	before := m.Run(t, digest)
	t.Run("accepts an upgrade: everything is kept, and the server that runs goes on", func(t *testing.T) {
		out := m.Run(t, `echo '# mine' >> /etc/default/countersign; running=$(systemctl show -p MainPID --value countersign)
			dpkg-deb -R countersign_*.deb next; sed -i 's/^Version: .*/Version: 0.9.1/' next/DEBIAN/control; echo '# theirs' >> next/etc/default/countersign; (cd next && find etc usr -type f | xargs md5sum > DEBIAN/md5sums)
			dpkg-deb -Zgzip -z1 -b next next.deb; dpkg --force-confold -i next.deb; [ "$running" = "$(systemctl show -p MainPID --value countersign)" ] && echo goes on; tail -1 /etc/default/countersign`)
		for _, want := range []string{"countersign: upgraded from " + release.DebianVersion(at), "migrate plan --config", "\ngoes on\n", "# mine"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s is not in\n%s", want, out)
			}
		}
		if after := m.Run(t, digest); after != before {
			t.Errorf("%s\nbecame\n%s", before, after)
		}
	})
	t.Run("accepts a removal: the service ends, and everything is kept", func(t *testing.T) {
		m.Run(t, "apt-get remove -y -q countersign")
		if out, _ := m.Try(t, "pgrep -x countersign"); out != "" {
			t.Errorf("it runs: %s", out)
		}
		if after := m.Run(t, digest); after != before {
			t.Errorf("%s\nbecame\n%s", before, after)
		}
	})
	t.Run("refuses to delete keys by a purge that does not say so", func(t *testing.T) {
		out := m.Run(t, "apt-get purge -y -q countersign")
		if !strings.Contains(out, "countersign: kept /etc/countersign /var/lib/countersign") {
			t.Errorf("%s", out)
		}
		if after := m.Run(t, digest+"; getent passwd countersign > /dev/null"); after != before {
			t.Errorf("%s\nbecame\n%s", before, after)
		}
	})
	t.Run("accepts a purge that does", func(t *testing.T) {
		m.Run(t, "dpkg -i next.deb; systemctl is-enabled countersign || true; COUNTERSIGN_PURGE=everything dpkg --purge countersign")
		if out, err := m.Try(t, "ls -d /etc/countersign /var/lib/countersign; getent passwd countersign"); err == nil || strings.Contains(out, "\n/") || strings.Contains(out, ":x:") {
			t.Errorf("left: %s", out)
		}
	})
}
