package pkcs11

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The two processes talk in frames: a length of four bytes, then version, kind, an eight-byte number that ties an
// answer to its question, and the payload. They go over two sockets: requests to sign and their answers over one that
// keeps packets apart, with a request each or up to maxAnswers answers, and all else over a stream.
const (
	frameVersion = 2
	headerSize   = 14
	// maxPayload bounds a payload, in bytes. The largest real one is a JWT to be signed.
	maxPayload = 256 << 10
	// maxMessage bounds a message to be signed, in bytes. With Ed25519 all of it goes into one packet.
	maxMessage = 128 << 10
	// maxSignature bounds a signature, in bytes.
	maxSignature = 1024
	// maxAnswers bounds the answers in a packet.
	maxAnswers = 4
)

// kind says what a frame asks or answers.
type kind byte

const (
	askHello    kind = 1  // payload: hello, JSON
	askSign     kind = 2  // payload: algorithm (1 byte), kid (43 bytes), what signingInput gives
	askList     kind = 3  // no payload
	askGenerate kind = 4  // payload: algorithm (1 byte)
	askDestroy  kind = 5  // payload: kid
	askInit     kind = 6  // payload: initialisation, JSON
	askAttest   kind = 7  // payload: kid
	askAgree    kind = 8  // payload: algorithm (1 byte), kid (43 bytes), point (65 bytes)
	askUnwrap   kind = 9  // payload: algorithm (1 byte), kid (43 bytes), wrapped key
	askKey      kind = 10 // payload: kid; it is looked for in the token if need be

	answerGood     kind = 128 // payload: the result
	answerFailed   kind = 129 // payload: failure code (1 byte), text
	answerUnsigned kind = 130 // payload: what refused (1 byte), its CK_RV (8 bytes)
)

// frame is one message of the protocol.
type frame struct {
	kind    kind
	number  uint64
	payload []byte
}

// errFrame is what a broken stream gives.
var errFrame = errors.New("pkcs11: broken frame")

// appendFrame writes a frame to a buffer.
func appendFrame(buffer []byte, f frame) []byte {
	buffer = binary.BigEndian.AppendUint32(buffer, uint32(headerSize-4+len(f.payload)))
	buffer = append(buffer, frameVersion, byte(f.kind))
	buffer = binary.BigEndian.AppendUint64(buffer, f.number)
	return append(buffer, f.payload...)
}

// readFrame reads one frame. io.EOF means that the other side is gone; anything else ends the connection.
func readFrame(r io.Reader) (frame, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return frame{}, io.EOF
		}
		return frame{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	f, size, err := readHeader(header)
	if err != nil {
		return frame{}, err
	}
	f.payload = make([]byte, size)
	if _, err := io.ReadFull(r, f.payload); err != nil {
		return frame{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	return f, nil
}

// parsePacket reads the first frame of a packet, and gives what follows it. The payload is the packet's.
func parsePacket(packet []byte) (f frame, rest []byte, err error) {
	if len(packet) < headerSize {
		return frame{}, nil, fmt.Errorf("%w: %d bytes of a packet", errFrame, len(packet))
	}
	f, size, err := readHeader([headerSize]byte(packet))
	if err != nil {
		return frame{}, nil, err
	}
	if size > len(packet)-headerSize {
		return frame{}, nil, fmt.Errorf("%w: a payload of %d bytes in %d bytes of a packet", errFrame, size, len(packet))
	}
	f.payload = packet[headerSize : headerSize+size]
	return f, packet[headerSize+size:], nil
}

// readHeader reads all but the payload, and tells how long that is.
func readHeader(header [headerSize]byte) (frame, int, error) {
	size := int64(binary.BigEndian.Uint32(header[:4])) - (headerSize - 4)
	if size < 0 || size > maxPayload {
		return frame{}, 0, fmt.Errorf("%w: a payload of %d bytes", errFrame, size)
	}
	if header[4] != frameVersion {
		return frame{}, 0, fmt.Errorf("%w: version %d, this is %d; both processes must be of one build", errFrame, header[4], frameVersion)
	}
	return frame{kind: kind(header[5]), number: binary.BigEndian.Uint64(header[6:])}, int(size), nil
}
