// Package wire is the protocol between the server and its PKCS#11 workers: frames, and what they hold. Both ends are of one
// build.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The two processes talk in frames: a length of four bytes, then version, kind, an eight-byte number that ties an
// answer to its question, and the payload. They go over two sockets: requests to sign and their answers over one that
// keeps packets apart, with a request each or up to MaxAnswers answers, and all else over a stream.
const (
	frameVersion = 2
	// HeaderSize is the size of all but the payload, in bytes.
	HeaderSize = 14
	// maxPayload bounds a payload, in bytes. The largest real one is a JWT to be signed.
	maxPayload = 256 << 10
	// MaxMessage bounds a message to be signed, in bytes. With Ed25519 all of it goes into one packet.
	MaxMessage = 128 << 10
	// MaxSignature bounds a signature, in bytes.
	MaxSignature = 1024
	// MaxAnswers bounds the answers in a packet.
	MaxAnswers = 4
)

// Kind says what a frame asks or answers.
type Kind byte

const (
	AskHello    Kind = 1  // payload: hello, JSON
	AskSign     Kind = 2  // payload: algorithm (1 byte), kid (43 bytes), what signingInput gives
	AskList     Kind = 3  // no payload
	AskGenerate Kind = 4  // payload: algorithm (1 byte)
	AskDestroy  Kind = 5  // payload: kid
	AskInit     Kind = 6  // payload: initialisation, JSON
	AskAttest   Kind = 7  // payload: kid
	AskAgree    Kind = 8  // payload: algorithm (1 byte), kid (43 bytes), point (65 bytes)
	AskUnwrap   Kind = 9  // payload: algorithm (1 byte), kid (43 bytes), wrapped key
	AskKey      Kind = 10 // payload: kid; it is looked for in the token if need be

	AnswerGood     Kind = 128 // payload: the result
	AnswerFailed   Kind = 129 // payload: failure code (1 byte), text
	AnswerUnsigned Kind = 130 // payload: what refused (1 byte), its CK_RV (8 bytes)
)

// Frame is one message of the protocol.
type Frame struct {
	Kind    Kind
	Number  uint64
	Payload []byte
}

// ErrFrame is what a broken stream gives.
var ErrFrame = errors.New("pkcs11: broken frame")

// AppendFrame writes a frame to a buffer.
func AppendFrame(buffer []byte, f Frame) []byte {
	buffer = binary.BigEndian.AppendUint32(buffer, uint32(HeaderSize-4+len(f.Payload)))
	buffer = append(buffer, frameVersion, byte(f.Kind))
	buffer = binary.BigEndian.AppendUint64(buffer, f.Number)
	return append(buffer, f.Payload...)
}

// ReadFrame reads one frame. io.EOF means that the other side is gone; anything else ends the connection.
func ReadFrame(r io.Reader) (Frame, error) {
	var header [HeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return Frame{}, io.EOF
		}
		return Frame{}, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	f, size, err := readHeader(header)
	if err != nil {
		return Frame{}, err
	}
	f.Payload = make([]byte, size)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		return Frame{}, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return f, nil
}

// ParsePacket reads the first frame of a packet, and gives what follows it. The payload is the packet's.
func ParsePacket(packet []byte) (f Frame, rest []byte, err error) {
	if len(packet) < HeaderSize {
		return Frame{}, nil, fmt.Errorf("%w: %d bytes of a packet", ErrFrame, len(packet))
	}
	f, size, err := readHeader([HeaderSize]byte(packet))
	if err != nil {
		return Frame{}, nil, err
	}
	if size > len(packet)-HeaderSize {
		return Frame{}, nil, fmt.Errorf("%w: a payload of %d bytes in %d bytes of a packet", ErrFrame, size, len(packet))
	}
	f.Payload = packet[HeaderSize : HeaderSize+size]
	return f, packet[HeaderSize+size:], nil
}

// readHeader reads all but the payload, and tells how long that is.
func readHeader(header [HeaderSize]byte) (Frame, int, error) {
	size := int64(binary.BigEndian.Uint32(header[:4])) - (HeaderSize - 4)
	if size < 0 || size > maxPayload {
		return Frame{}, 0, fmt.Errorf("%w: a payload of %d bytes", ErrFrame, size)
	}
	if header[4] != frameVersion {
		return Frame{}, 0, fmt.Errorf("%w: version %d, this is %d; both processes must be of one build", ErrFrame, header[4], frameVersion)
	}
	return Frame{Kind: Kind(header[5]), Number: binary.BigEndian.Uint64(header[6:])}, int(size), nil
}
