package httpsig

import "net/http"

// FindLabel returns the signature with a label, whatever its tag: those of RFC 9421 Appendix B have none.
func FindLabel(header http.Header, label string) (Signature, error) {
	inputs, err := dictionary(header, "Signature-Input")
	if err != nil {
		return Signature{}, err
	}
	values, err := dictionary(header, "Signature")
	if err != nil {
		return Signature{}, err
	}
	return labelled(inputs, values, label)
}
