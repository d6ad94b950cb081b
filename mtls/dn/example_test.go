package dn_test

import (
	"fmt"

	"countersign/mtls/dn"
)

// Tools write one name in many ways. Read, they are equal; written again, they are alike.
func ExampleParse() {
	registered, err := dn.Parse("CN=client-1,O=Example Bank,C=DE")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{
		"2.5.4.3=client-1, organizationName=EXAMPLE  BANK, countryName=de",
		`OID.2.5.4.3="client-1"; O="Example Bank"; C=DE`,
		"/C=DE/O=Example Bank/CN=client-1",
		"C=DE,O=Example Bank,CN=client-1",
	} {
		name, err := dn.Parse(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(name.Equal(registered), name)
	}
	// Output:
	// true CN=client-1,O=EXAMPLE  BANK,C=de
	// true CN=client-1,O=Example Bank,C=DE
	// true CN=client-1,O=Example Bank,C=DE
	// false C=DE,O=Example Bank,CN=client-1
}
