package serve

import (
	"time"

	"countersign/fapi/consents/shape"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/internal/adminconsole"
	"countersign/internal/observing"
)

// console is what the console of operators shows besides what is stored: the node, and the words of what was allowed.
func (s *server) console() (adminconsole.Config, error) {
	shown := adminconsole.Config{
		Node: s.chain, Zone: s.brand.Zone, Ready: observing.Parts{Store: s.store, Signer: s.keys.Signer}.Look,
		Certificates: func() map[string]time.Time { return observing.Ends(s.Config) },
	}
	languages, err := display.NewLanguages(s.brand.Locales, s.brand.Zone, s.brand.Words)
	if err != nil {
		return shown, err
	}
	var types []rar.Type
	for _, known := range s.Config.AuthorizationDetails {
		one, _, err := detailType(known)
		if err != nil {
			return shown, err
		}
		types = append(types, one)
	}
	if shown.Details, err = rar.NewTypes(types, languages); err != nil {
		return shown, err
	}
	kinds, err := shape.Types()
	if err != nil {
		return shown, err
	}
	shown.Consents, err = rar.NewTypes(kinds, languages)
	return shown, err
}
