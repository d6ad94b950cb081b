package pages

import (
	"bytes"
	"encoding/json"
	"fmt"

	"countersign/fapi/device"
)

// The paths of the assets, below the issuer.
const (
	passkeyScript = "/passkey.js"
	deviceScript  = "/device/device.js"
	workerScript  = "/device/worker.js"
	manifestFile  = "/device/app.webmanifest"
)

// Assets returns the files that the pages load.
func (p *Pages) Assets() ([]device.Asset, error) {
	const script, png, svg = "text/javascript; charset=utf-8", "image/png", "image/svg+xml"
	var assets []device.Asset
	for _, each := range []struct{ path, file, contentType string }{
		{passkeyScript, "passkey.js", script}, {deviceScript, "device.js", script}, {workerScript, "worker.js", script},
		{"/device/icon-192.png", "icon-192.png", png}, {"/device/icon-512.png", "icon-512.png", png},
		{"/device/icon.svg", "icon.svg", svg},
		{"/favicon.ico", "icon-192.png", png}, // for what has no page that names one
	} {
		body, err := p.asset(each.file)
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		assets = append(assets, device.Asset{Path: each.path, ContentType: each.contentType, Body: body})
	}
	for _, image := range p.brandImages() {
		assets = append(assets, device.Asset{Path: imagePath(image), ContentType: image.ContentType, Body: image.Body, Immutable: true})
	}
	manifest, err := p.manifest()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return append(assets, device.Asset{Path: manifestFile, ContentType: "application/manifest+json", Body: manifest}), nil
}

// asset returns an embedded file, with the brand and the words in their places.
func (p *Pages) asset(file string) ([]byte, error) {
	switch {
	case file == "worker.js":
		return p.worker()
	case p.own():
	case file == "icon.svg":
		return []byte(p.square()), nil
	case file == "icon-192.png":
		return p.icon(192)
	case file == "icon-512.png":
		return p.icon(512)
	}
	return files.ReadFile("assets/" + file)
}

// worker returns the worker with its texts in every language: it shows a notification while no page is open.
func (p *Pages) worker() ([]byte, error) {
	body, err := files.ReadFile("assets/worker.js")
	if err != nil {
		return nil, err
	}
	var texts [][3]string
	for _, l := range p.words.Languages() {
		texts = append(texts, [3]string{l.Tag, l.Text("home.notification"), l.Text("home.notification_open")})
	}
	encoded, err := json.Marshal(texts)
	return bytes.Replace(body, []byte("[/* words */]"), encoded, 1), err
}

// manifest returns the manifest with which the device's pages can be installed (W3C Web Application Manifest), in the first
// language.
func (p *Pages) manifest() ([]byte, error) {
	type icon struct {
		Source  string `json:"src"`
		Sizes   string `json:"sizes"`
		Type    string `json:"type"`
		Purpose string `json:"purpose"`
	}
	home := p.base + "/device"
	icons := []icon{
		{home + "/icon-192.png", "192x192", "image/png", "any"}, {home + "/icon-512.png", "512x512", "image/png", "any"},
		{home + "/icon-512.png", "512x512", "image/png", "maskable"}, {home + "/icon.svg", "any", "image/svg+xml", "any"},
	}
	l := p.words.Languages()[0]
	name := p.name(l)
	return json.Marshal(map[string]any{
		"id": home, "name": l.Text("home.application", "bank", name), "short_name": name, "description": l.Text("home.application_what"),
		"start_url": home, "scope": home, "display": "standalone", "theme_color": p.brand.Accent, "background_color": "#ffffff",
		"lang": l.Tag, "dir": l.Dir, "icons": icons,
	})
}
