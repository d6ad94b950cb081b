package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"countersign/signer"
)

func TestFrameRoundTrip(t *testing.T) {
	stream := AppendFrame(nil, Frame{Kind: AskSign, Number: 7, Payload: []byte("payload")})
	stream = AppendFrame(stream, Frame{Kind: AskList, Number: 1 << 60})
	r := bytes.NewReader(stream)
	first, err := ReadFrame(r)
	if err != nil || first.Kind != AskSign || first.Number != 7 || string(first.Payload) != "payload" {
		t.Errorf("%+v, %v", first, err)
	}
	second, err := ReadFrame(r)
	if err != nil || second.Kind != AskList || second.Number != 1<<60 || len(second.Payload) != 0 {
		t.Errorf("%+v, %v", second, err)
	}
	if _, err := ReadFrame(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestBrokenFrames(t *testing.T) {
	good := AppendFrame(nil, Frame{Kind: AskSign, Number: 7, Payload: []byte("payload")})
	for name, stream := range map[string][]byte{
		"cut in the header":  good[:9],
		"cut in the payload": good[:len(good)-1],
		"another version":    append(append(append([]byte{}, good[:4]...), frameVersion+1), good[5:]...),
		"a length too large": append([]byte{0xff, 0xff, 0xff, 0xff}, good[4:]...),
		"a length too small": append([]byte{0, 0, 0, 1}, good[4:]...),
	} {
		if _, err := ReadFrame(bytes.NewReader(stream)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(AppendFrame(nil, Frame{Kind: AskSign, Number: 1, Payload: UsePayload(signer.ES256, strings.Repeat("k", KIDSize), []byte("m"))}))
	f.Add(AppendFrame(nil, Frame{Kind: AnswerFailed, Number: 1, Payload: Failf(FailNoKey, "x").Payload()}))
	f.Add([]byte{0, 0, 0, 10, 1, 1})
	f.Fuzz(func(t *testing.T, stream []byte) {
		got, err := ReadFrame(bytes.NewReader(stream))
		if err != nil {
			return
		}
		if again := AppendFrame(nil, got); !bytes.HasPrefix(stream, again) {
			t.Errorf("%x was read as %+v", stream, got)
		}
		// What a frame holds must be readable, or refused, by both sides.
		if alg, kid, message, err := ParseUse(got.Payload); err == nil && !bytes.Equal(UsePayload(alg, kid, message), got.Payload) {
			t.Errorf("a request to sign changed: %x", got.Payload)
		}
		if ParseFailure(got.Payload).Error() == "" {
			t.Error("a failure without a text")
		}
	})
}

// TestPacketOfAnswers: a packet holds whole frames, one after the other, and nothing else.
func TestPacketOfAnswers(t *testing.T) {
	packet := AppendFrame(nil, Frame{Kind: AnswerGood, Number: 7, Payload: []byte("signature")})
	packet = AppendFrame(packet, Frame{Kind: AnswerUnsigned, Number: 8})
	first, rest, err := ParsePacket(packet)
	if err != nil || first.Number != 7 || string(first.Payload) != "signature" {
		t.Fatalf("%+v, %v", first, err)
	}
	second, rest, err := ParsePacket(rest)
	if err != nil || second.Number != 8 || second.Kind != AnswerUnsigned || len(second.Payload) != 0 || len(rest) != 0 {
		t.Errorf("%+v, %x, %v", second, rest, err)
	}
	for name, broken := range map[string][]byte{
		"nothing": nil, "a part of a header": packet[:9], "a part of a payload": packet[:HeaderSize+4], "what follows a frame": append([]byte{}, packet[len(packet)-HeaderSize+1:]...),
	} {
		if f, _, err := ParsePacket(broken); !errors.Is(err, ErrFrame) {
			t.Errorf("%s was read as %+v, %v", name, f, err)
		}
	}
}
