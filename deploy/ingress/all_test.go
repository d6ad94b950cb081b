//go:build ingress

package ingress

func started() []proxy { return append(everyRun(), withTag()...) }
