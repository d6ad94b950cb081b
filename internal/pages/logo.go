package pages

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"math"
	"slices"
	"strconv"

	"countersign/internal/brand"
	"countersign/internal/words"
)

// brandFolder is the path of the brand's images, below the issuer. Each has the digest of its content in its name.
const brandFolder = "/brand/"

// ownIcon is the icon of pages without a brand.
const ownIcon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='7' fill='%23105748'/%3E%3Cpath fill='none' stroke='%23fff' stroke-width='2.5' stroke-linecap='round' d='M24.5 10.7A10 10 0 1 0 24.5 21.3M12.5 20L16 12M17.5 20L21 12'/%3E%3C/svg%3E"

// look is the brand in one language.
type look struct {
	Name string
	// Logo and LogoDark are addresses, or empty; LogoWidth is for a height of logoHeight.
	Logo, LogoDark string
	LogoWidth      int
	Favicon        template.URL
	// Help, Privacy and Accessibility are addresses, or empty.
	Help, Privacy, Accessibility string
}

// logoHeight and logoWidth bound a logo on pages, in pixels.
const (
	logoHeight = 36
	logoWidth  = 136
)

// check checks the addresses of a brand.
func (b Brand) check() error {
	addresses := []string{b.HelpURI, b.PrivacyURI, b.AccessibilityURI}
	for _, l := range b.Languages {
		addresses = append(addresses, l.HelpURI, l.PrivacyURI, l.AccessibilityURI)
	}
	for _, address := range addresses {
		if address != "" && https(address) == "" {
			return fmt.Errorf("pages: %q is not an https address", address)
		}
	}
	return nil
}

// allLooks makes the brand in every language.
func (p *Pages) allLooks(languages []*words.Language) map[string]look {
	looks := map[string]look{}
	for _, l := range languages {
		b, here := p.brand, p.brand.Languages[l.Tag]
		logo, dark := b.Logo, b.LogoDark
		if here.Logo != nil {
			logo, dark = here.Logo, here.LogoDark
		}
		one := look{
			Name: cmp.Or(plain(here.Name, nameLimit), b.Name, ownName), Favicon: p.favicon(logo),
			Logo: p.imageAddress(logo), LogoDark: p.imageAddress(dark),
			Help: cmp.Or(here.HelpURI, b.HelpURI), Privacy: cmp.Or(here.PrivacyURI, b.PrivacyURI),
			Accessibility: cmp.Or(here.AccessibilityURI, b.AccessibilityURI), LogoWidth: logoHeight,
		}
		if logo != nil && logo.Ratio > 0 {
			one.LogoWidth = int(min(logoWidth, max(1, math.Round(logoHeight*logo.Ratio))))
		}
		looks[l.Tag] = one
	}
	return looks
}

// brandImages returns the images of the brand, each once.
func (p *Pages) brandImages() []*brand.Image {
	all := []*brand.Image{p.brand.Logo, p.brand.LogoDark, p.brand.Favicon}
	for _, tag := range slices.Sorted(maps.Keys(p.brand.Languages)) {
		all = append(all, p.brand.Languages[tag].Logo, p.brand.Languages[tag].LogoDark)
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(image *brand.Image) bool {
		if image == nil || seen[imagePath(image)] {
			return true
		}
		seen[imagePath(image)] = true
		return false
	})
}

// images returns the address below which the policy allows images, or "".
func (p *Pages) images() string {
	if p.issuer == "" || len(p.brandImages()) == 0 {
		return ""
	}
	return p.issuer + brandFolder
}

// imagePath is the path of an image below the issuer.
func imagePath(of *brand.Image) string { return brandFolder + of.Digest() + of.Extension }

// imageAddress returns the path of an image for pages, or "".
func (p *Pages) imageAddress(of *brand.Image) string {
	if of == nil || p.issuer == "" { // the policy names the whole address
		return ""
	}
	return p.base + imagePath(of)
}

// favicon returns the address of the icon of the pages with a logo: the brand's, else the logo, else a square of its colour.
func (p *Pages) favicon(logo *brand.Image) template.URL {
	for _, image := range []*brand.Image{p.brand.Favicon, logo} {
		if address := p.imageAddress(image); address != "" {
			return template.URL(address)
		}
	}
	if p.own() {
		return ownIcon
	}
	return template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(p.square())))
}

// square is an icon of nothing but the brand's colour.
func (p *Pages) square() string {
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="` + p.brand.Accent + `"/></svg>`
}

// icon returns an icon of the installed application with so many pixels: the brand's, if that is a PNG, else a square.
func (p *Pages) icon(size int) ([]byte, error) {
	for _, of := range []*brand.Image{p.brand.Favicon, p.brand.Logo} {
		if of != nil && of.Extension == ".png" && of.Ratio == 1 {
			return of.Body, nil
		}
	}
	value, err := strconv.ParseUint(p.brand.Accent[1:], 16, 32)
	if err != nil {
		return nil, err
	}
	canvas := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(color.RGBA{uint8(value >> 16), uint8(value >> 8), uint8(value), 255}), image.Point{}, draw.Src)
	var out bytes.Buffer
	err = png.Encode(&out, canvas)
	return out.Bytes(), err
}
