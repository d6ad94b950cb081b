//go:build root && linux

package release_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/internal/release/machine"
)

// softwareHSM is a token of a distribution that the service uses with a drop-in of deploy/systemd.
type softwareHSM struct {
	name, module, dropIn string
	// token makes a token labelled countersign whose PIN is in /etc/countersign/pin.
	token string
	// environment is a flag of init beside the module, and group whose the operator is while keys are made.
	environment, group string
}

// softwareHSMs are those whose drop-ins a test can run.
func softwareHSMs() []softwareHSM {
	return []softwareHSM{
		{
			name: "opencryptoki", module: "/usr/lib/x86_64-linux-gnu/opencryptoki/libopencryptoki.so.0", dropIn: "hsm-opencryptoki.conf",
			token: `systemctl start pkcsslotd
				printf '87654321\ncountersign\n' | pkcsconf -c 3 -I
				printf '87654321\n76543210\n76543210\n' | pkcsconf -c 3 -P
				printf '76543210\n11111111\n11111111\n' | pkcsconf -c 3 -u
				printf '11111111\n24681357\n24681357\n' | pkcsconf -c 3 -p
				(umask 077; printf 24681357 > /etc/countersign/pin); usermod -aG pkcs11 countersign`,
		},
		{
			name: "SoftHSM2 with the distribution's tokens", module: "/usr/lib/softhsm/libsofthsm2.so", dropIn: "hsm-softhsm.conf",
			token: `(umask 077; printf 24681357 > /etc/countersign/pin)
				sudo -u countersign -g softhsm softhsm2-util --init-token --free --label countersign --pin 24681357 --so-pin 76543210`,
			environment: "--environment SOFTHSM2_CONF=/etc/softhsm/softhsm2.conf", group: "-g softhsm",
		},
	}
}

// served has the service run with the module, and returns its readiness and what the log says.
func (h softwareHSM) served(t *testing.T, m *machine.Machine, dropIn string) (ready, log string) {
	t.Helper()
	m.Run(t, "systemctl stop countersign; rm -rf /etc/systemd/system/countersign.service.d; mkdir -p /etc/systemd/system/countersign.service.d")
	if dropIn != "" {
		text, err := os.ReadFile(filepath.Join("../../deploy/systemd", dropIn))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.Root, "etc/systemd/system/countersign.service.d/hsm.conf"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.Run(t, "systemctl daemon-reload; systemctl start countersign")
	ready, _ = m.Try(t, `for i in $(seq 40); do curl --fail --silent --cacert /etc/countersign/tls/server.crt https://localhost:8443/health/ready && break; sleep 0.25; done`)
	log, _ = m.Try(t, "journalctl -q -o cat -u countersign | tail -40")
	return ready, log
}

// Covers: NM-222. TestNM222DropIns: in the service with all its hardening a module works by its drop-in, and not without.
func TestNM222DropIns(t *testing.T) {
	m := machineWithPackage(t)
	m.Boot(t)
	m.Run(t, "apt-get install -y -q --no-download ./countersign_*.deb 2>&1 || dpkg -i countersign_*.deb")
	for _, h := range softwareHSMs() {
		m.Run(t, "systemctl stop countersign; rm -rf /etc/countersign/* /var/lib/countersign/*")
		m.Run(t, "countersign init --system --issuer https://localhost:8443 --module "+h.module+" --token countersign "+h.environment)
		m.Run(t, h.token)
		m.Run(t, `chown countersign: /etc/countersign/pin
			openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout /etc/countersign/tls/server.key -out /etc/countersign/tls/server.crt
			chown countersign: /etc/countersign/tls/server.key; chmod 600 /etc/countersign/tls/server.key
			sudo -u countersign countersign migrate up --config /etc/countersign/countersign.toml
			sudo -u countersign `+h.group+` countersign keys generate --config /etc/countersign/countersign.toml --alg PS256 --activate`)
		t.Run("accepts "+h.name+" with its drop-in", func(t *testing.T) {
			if ready, log := h.served(t, m, h.dropIn); !strings.Contains(ready, `"status":"ok"`) {
				t.Errorf("%s\n%s", ready, log)
			}
		})
		t.Run("refuses "+h.name+" without it, and says so", func(t *testing.T) {
			if ready, log := h.served(t, m, ""); ready != "" || !strings.Contains(log, "pkcs11: the module") {
				t.Errorf("%s\n%s", ready, log)
			}
		})
	}
}
