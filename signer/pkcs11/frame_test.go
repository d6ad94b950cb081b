package pkcs11

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"countersign/signer"
)

func TestFrameRoundTrip(t *testing.T) {
	stream := appendFrame(nil, frame{kind: askSign, number: 7, payload: []byte("payload")})
	stream = appendFrame(stream, frame{kind: askList, number: 1 << 60})
	r := bytes.NewReader(stream)
	first, err := readFrame(r)
	if err != nil || first.kind != askSign || first.number != 7 || string(first.payload) != "payload" {
		t.Errorf("%+v, %v", first, err)
	}
	second, err := readFrame(r)
	if err != nil || second.kind != askList || second.number != 1<<60 || len(second.payload) != 0 {
		t.Errorf("%+v, %v", second, err)
	}
	if _, err := readFrame(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestBrokenFrames(t *testing.T) {
	good := appendFrame(nil, frame{kind: askSign, number: 7, payload: []byte("payload")})
	for name, stream := range map[string][]byte{
		"cut in the header":  good[:9],
		"cut in the payload": good[:len(good)-1],
		"another version":    append(append(append([]byte{}, good[:4]...), frameVersion+1), good[5:]...),
		"a length too large": append([]byte{0xff, 0xff, 0xff, 0xff}, good[4:]...),
		"a length too small": append([]byte{0, 0, 0, 1}, good[4:]...),
	} {
		if _, err := readFrame(bytes.NewReader(stream)); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendFrame(nil, frame{kind: askSign, number: 1, payload: usePayload(signer.ES256, strings.Repeat("k", kidSize), []byte("m"))}))
	f.Add(appendFrame(nil, frame{kind: answerFailed, number: 1, payload: failf(failNoKey, "x").payload()}))
	f.Add([]byte{0, 0, 0, 10, 1, 1})
	f.Fuzz(func(t *testing.T, stream []byte) {
		got, err := readFrame(bytes.NewReader(stream))
		if err != nil {
			return
		}
		if again := appendFrame(nil, got); !bytes.HasPrefix(stream, again) {
			t.Errorf("%x was read as %+v", stream, got)
		}
		// What a frame holds must be readable, or refused, by both sides.
		if alg, kid, message, err := parseUse(got.payload); err == nil && !bytes.Equal(usePayload(alg, kid, message), got.payload) {
			t.Errorf("a request to sign changed: %x", got.payload)
		}
		if parseFailure(got.payload).Error() == "" {
			t.Error("a failure without a text")
		}
	})
}

func TestURI(t *testing.T) {
	good := map[string]URI{
		"pkcs11:token=countersign":                         {Token: "countersign"},
		"pkcs11:token=My%20token;serial=0123;object=a%3Bb": {Token: "My token", Serial: "0123", Object: "a;b"},
		"pkcs11:token=t;id=%01%FF":                         {Token: "t", ID: []byte{1, 255}},
	}
	for text, want := range good {
		got, err := ParseURI(text)
		if err != nil || got.String() != text || got.Token != want.Token || got.Serial != want.Serial || got.Object != want.Object || !bytes.Equal(got.ID, want.ID) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "pkcs11:", "token=t", "pkcs11:serial=1", "pkcs11:token=t;token=u", "pkcs11:token=t;slot-id=1", "pkcs11:token=%zz",
		"pkcs11:token=t?pin-value=1234", "pkcs11:token=t;type=cert", "pkcs11:token", "pkcs11:token=" + strings.Repeat("t", 2000),
	} {
		if got, err := ParseURI(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		} else if strings.Contains(err.Error(), "1234") {
			t.Errorf("the error shows a PIN: %v", err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("pkcs11:token=countersign;id=%01%FF")
	f.Add("pkcs11:token=a;object=%3B;serial=1")
	f.Fuzz(func(t *testing.T, text string) {
		uri, err := ParseURI(text)
		if err != nil {
			return
		}
		again, err := ParseURI(uri.String())
		if err != nil || again.String() != uri.String() {
			t.Errorf("%q became %q, then %q, %v", text, uri, again, err)
		}
	})
}

// TestPacketOfAnswers: a packet holds whole frames, one after the other, and nothing else.
func TestPacketOfAnswers(t *testing.T) {
	packet := appendFrame(nil, frame{kind: answerGood, number: 7, payload: []byte("signature")})
	packet = appendFrame(packet, frame{kind: answerUnsigned, number: 8})
	first, rest, err := parsePacket(packet)
	if err != nil || first.number != 7 || string(first.payload) != "signature" {
		t.Fatalf("%+v, %v", first, err)
	}
	second, rest, err := parsePacket(rest)
	if err != nil || second.number != 8 || second.kind != answerUnsigned || len(second.payload) != 0 || len(rest) != 0 {
		t.Errorf("%+v, %x, %v", second, rest, err)
	}
	for name, broken := range map[string][]byte{
		"nothing": nil, "a part of a header": packet[:9], "a part of a payload": packet[:headerSize+4], "what follows a frame": append([]byte{}, packet[len(packet)-headerSize+1:]...),
	} {
		if f, _, err := parsePacket(broken); !errors.Is(err, errFrame) {
			t.Errorf("%s was read as %+v, %v", name, f, err)
		}
	}
}
