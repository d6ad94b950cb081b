package serve

import (
	"countersign/fapi"
	"countersign/fapi/rar/display"
	"countersign/internal/branding"
)

// speak reads the brand, and lets everything speak its languages.
func (s *server) speak(settings *fapi.Config) error {
	var err error
	if s.brand, err = branding.Of(s.Config.Brand); err != nil {
		return err
	}
	settings.UILocales = s.brand.Locales
	settings.Languages, err = display.NewLanguages(s.brand.Locales, s.brand.Zone, s.brand.Words)
	return err
}
