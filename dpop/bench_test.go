package dpop

import "testing"

// BenchmarkVerify is one proof at the token endpoint.
func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range policy().Algorithms {
		b.Run(algorithm, func(b *testing.B) {
			proof := proofOf(b, newKey(b, algorithm), nil)
			p, request := policy(), tokenRequest()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Verify(proof, request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
