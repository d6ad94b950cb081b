package main

import (
	"strings"
)

// tidyIBAN takes an account number as people write it: with spaces, in small letters.
func tidyIBAN(text string) string {
	return strings.ToUpper(strings.Join(strings.Fields(text), ""))
}

// validIBAN reports whether an account number has the form of one and its check digits are right (ISO 13616-1 §5).
func validIBAN(iban string) bool {
	if len(iban) < 15 || len(iban) > 34 {
		return false
	}
	remainder := 0
	for _, each := range iban[4:] + iban[:4] {
		switch {
		case each >= '0' && each <= '9':
			remainder = (remainder*10 + int(each-'0')) % 97
		case each >= 'A' && each <= 'Z':
			remainder = (remainder*100 + int(each-'A') + 10) % 97
		default:
			return false
		}
	}
	letters := strings.Trim(iban[:2], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	digits := strings.Trim(iban[2:4], "0123456789") == ""
	return letters && digits && remainder == 1
}
