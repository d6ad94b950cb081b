package pages

import (
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
	var assets []device.Asset
	for _, each := range []struct{ path, file, contentType string }{
		{passkeyScript, "passkey.js", "text/javascript; charset=utf-8"},
		{deviceScript, "device.js", "text/javascript; charset=utf-8"},
		{workerScript, "worker.js", "text/javascript; charset=utf-8"},
		{"/device/icon-192.png", "icon-192.png", "image/png"},
		{"/device/icon-512.png", "icon-512.png", "image/png"},
		{"/device/icon.svg", "icon.svg", "image/svg+xml"},
		{"/favicon.ico", "icon-192.png", "image/png"}, // for what has no page that names one
	} {
		body, err := files.ReadFile("assets/" + each.file)
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		assets = append(assets, device.Asset{Path: each.path, ContentType: each.contentType, Body: body})
	}
	manifest, err := p.manifest()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return append(assets, device.Asset{Path: manifestFile, ContentType: "application/manifest+json", Body: manifest}), nil
}

// manifest returns the manifest with which the device's pages can be installed (W3C Web Application Manifest).
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
	return json.Marshal(map[string]any{
		"id": home, "name": p.name + " confirmations", "short_name": p.name, "description": "See who asks for what in your name, and approve or deny it.",
		"start_url": home, "scope": home, "display": "standalone", "theme_color": "#105748", "background_color": "#ffffff",
		"lang": "en", "dir": "ltr", "icons": icons,
	})
}
