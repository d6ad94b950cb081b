package pages

import (
	"bytes"
	"encoding/base64"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strconv"

	"countersign/internal/brand"
)

// The paths of the brand's images, below the issuer and without the end of their names.
const (
	brandFolder  = "/brand/"
	logoFile     = brandFolder + "logo"
	logoDarkFile = brandFolder + "logo-dark"
	iconFile     = brandFolder + "icon"
)

// ownIcon is the icon of pages without a brand.
const ownIcon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='7' fill='%23105748'/%3E%3Cpath fill='none' stroke='%23fff' stroke-width='2.5' stroke-linecap='round' d='M24.5 10.7A10 10 0 1 0 24.5 21.3M12.5 20L16 12M17.5 20L21 12'/%3E%3C/svg%3E"

// images returns the address below which the policy allows images, or "".
func (p *Pages) images() string {
	if p.issuer == "" || p.brand.Logo == nil && p.brand.LogoDark == nil && p.brand.Favicon == nil {
		return ""
	}
	return p.issuer + brandFolder
}

// logoAddress returns the path of one of the brand's images, or "".
func (p *Pages) logoAddress(of *brand.Image, file string) string {
	if of == nil || p.issuer == "" { // the policy names the whole address
		return ""
	}
	return p.base + file + of.Extension
}

// favicon returns the address of the icon of the pages: the brand's, else a square of its colour.
func (p *Pages) favicon() template.URL {
	if address := p.logoAddress(p.brand.Favicon, iconFile); address != "" {
		return template.URL(address)
	}
	if address := p.logoAddress(p.brand.Logo, logoFile); address != "" {
		return template.URL(address)
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
		if of != nil && of.Extension == ".png" {
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
