// Package der writes ECDSA signatures on P-256 as the standard library verifies them.
package der

// Max is the length of the longest DER signature of P-256: a SEQUENCE of two INTEGERs of 33 bytes.
const Max = 2 + 2*(2+33)

// Append appends the DER form (RFC 3279 §2.2.3) of r‖s, 32 bytes each: what the standard library verifies, without the big
// numbers on the way to it.
func Append(to, signature []byte) []byte {
	start := len(to)
	to = append(to, 0x30, 0)
	for _, half := range [][]byte{signature[:32], signature[32:]} {
		for len(half) > 1 && half[0] == 0 {
			half = half[1:]
		}
		length := byte(len(half))
		if half[0]&0x80 != 0 {
			to = append(to, 2, length+1, 0) // an INTEGER has a sign
		} else {
			to = append(to, 2, length)
		}
		to = append(to, half...)
	}
	to[start+1] = byte(len(to) - start - 2)
	return to
}
