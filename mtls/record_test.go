package mtls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// tape is a connection that remembers what came in.
type tape struct {
	net.Conn
	read bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.read.Write(p[:n])
	return n, err
}

// after completes a handshake of TLS 1.2 and then sends one encrypted record of any type, which crypto/tls has no way
// to do. It gives the type of the record that the server answers with, or 0 if it hangs up.
func (g greeter) after(t *testing.T, kind byte, content []byte) byte {
	t.Helper()
	raw, err := net.DialTimeout("tcp", g.address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var secrets strings.Builder
	taped := &tape{Conn: raw}
	client := tls.Client(taped, &tls.Config{
		RootCAs: g.roots, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS12, CipherSuites: recommended(g.rsa)[:1],
		KeyLogWriter: &secrets, SessionTicketsDisabled: true,
	})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	line := strings.Fields(secrets.String()) // CLIENT_RANDOM, the client's random, the master secret
	if len(line) != 3 {
		t.Fatalf("key log %q", line)
	}
	random, err := hex.DecodeString(line[1])
	if err != nil {
		t.Fatal(err)
	}
	master, err := hex.DecodeString(line[2])
	if err != nil {
		t.Fatal(err)
	}
	serverRandom := taped.read.Bytes()[11:43] // behind the headers of record and ServerHello, and the version
	keys := expand(master, "key expansion"+string(serverRandom)+string(random), 2*16+2*4)
	block, err := aes.NewCipher(keys[:16])
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	sequence := binary.BigEndian.AppendUint64(nil, 1) // Finished was 0
	nonce := append(append([]byte(nil), keys[32:36]...), sequence...)
	extra := append(append([]byte(nil), sequence...), kind, 3, 3, byte(len(content)>>8), byte(len(content)))
	sealed := append(append([]byte(nil), sequence...), sealer.Seal(nil, nonce, content, extra)...)
	if _, err := raw.Write(append([]byte{kind, 3, 3, byte(len(sealed) >> 8), byte(len(sealed))}, sealed...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(raw, answer); err != nil {
		return 0
	}
	return answer[0]
}

// expand is the pseudo-random function of TLS 1.2 (RFC 5246 §5); seed begins with the label.
func expand(secret []byte, seed string, length int) []byte {
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	var out []byte
	for a := mac([]byte(seed)); len(out) < length; a = mac(a) {
		out = append(out, mac(a, []byte(seed))...)
	}
	return out[:length]
}
