package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
)

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	if _, err := packer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// Covers: FD-46. A document that comes in gzip although it was not asked for is unpacked within the size of a body; and
// whoever chose an address is told what its host answered, and not what happened on the way to it.
func TestFD46Answers(t *testing.T) {
	const limit = 10_000
	text := strings.Repeat("x", limit)
	sending := func(coding string, body []byte) *site {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for one := range strings.SplitSeq(coding, "|") {
				w.Header().Add("Content-Encoding", one)
			}
			_, _ = w.Write(body)
		})
	}
	for name, server := range map[string]*site{
		"gzip": sending("gzip", gzipped(t, text)), "GZip": sending("GZip", gzipped(t, text)), "x-gzip": sending("x-gzip", gzipped(t, text)),
		"gzip of two members": sending("gzip", append(gzipped(t, text[:10]), gzipped(t, text[10:])...)), "identity": sending("identity", []byte(text)),
	} {
		t.Run("accepts "+name+" up to the limit", func(t *testing.T) {
			document, err := server.client(Policy{MaxBody: limit}).Get(t.Context(), server.address, "")
			if err != nil || string(document.Body) != text {
				t.Errorf("%d bytes, %v", len(document.Body), err)
			}
		})
	}
	packed := gzipped(t, text)
	flipped := bytes.Clone(packed)
	flipped[len(flipped)-6] ^= 1
	for name, test := range map[string]struct {
		server *site
		reason string
	}{
		"gzip of a byte too many":   {sending("gzip", gzipped(t, text+"x")), "larger than 10000 bytes"},
		"gzip that is cut off":      {sending("gzip", packed[:len(packed)-1]), "damaged gzip"},
		"gzip with a wrong sum":     {sending("gzip", flipped), "damaged gzip"},
		"gzip with bytes behind it": {sending("gzip", append(bytes.Clone(packed), 1, 2, 3)), "damaged gzip"},
		"no gzip":                   {sending("gzip", []byte(text)), "not the gzip"},
		"gzip in two headers":       {sending("gzip|gzip", gzipped(t, string(packed))), "compressed"},
		"brotli":                    {sending("br", []byte(text)), "compressed"},
		"a redirect": {serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/"+canary, http.StatusMovedPermanently)
		}), "a redirect (301)"},
		"a status": {serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, http.StatusNotFound) }), "status 404"},
		"a page":   {serve(t, answer(text+"x")), "larger than 10000 bytes"},
	} {
		t.Run("refuses "+name+" and tells it", func(t *testing.T) {
			_, err := test.server.client(Policy{MaxBody: limit}).Get(t.Context(), test.server.address, "")
			refused(t, err, test.reason)
			if failure, _ := errors.AsType[*Error](err); failure.Told() != failure.Reason {
				t.Errorf("tells %q of %q", failure.Told(), failure.Reason)
			}
		})
	}
	private := New(Policy{})
	private.lookup = lookups([]string{"10.0.0.1"})
	closed := serve(t, answer("")).client(Policy{})
	closed.connect = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: errors.New(canary)}
	}
	for name, client := range map[string]*Client{"an address of the inner network": private, "a port that is closed": closed} {
		t.Run("refuses "+name+" and does not tell it", func(t *testing.T) {
			_, err := client.Get(t.Context(), "https://keys.example/", "")
			if failure, ok := errors.AsType[*Error](err); !ok || failure.Told() != "" {
				t.Errorf("tells %v", err)
			}
		})
	}
}

// FuzzUnpack: what is unpacked is within the limit, and is what the standard library unpacks.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		client := New(Policy{MaxBody: 1000})
		body, err := client.unpack(packed)
		if err != nil {
			if _, known := errors.AsType[unusable](err); !known {
				t.Fatal(err)
			}
			return
		}
		if len(body) > 1000 {
			t.Fatalf("%d bytes", len(body))
		}
	})
}
