//go:build fips

// This build refuses what FIPS 140-3 does not approve, unless GODEBUG says otherwise. It is made with GOFIPS140 (docs/fips.md).

//go:debug fips140=only

package main
