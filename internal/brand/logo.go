package brand

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"strings"
)

// MaxImage bounds a logo, in bytes.
const MaxImage = 64 << 10

// Image is a logo or an icon.
type Image struct {
	// ContentType is image/svg+xml or image/png, Extension the end of a file name, such as ".svg".
	ContentType, Extension string
	Body                   []byte
}

// ReadImage reads an SVG or a PNG of at most [MaxImage] bytes. Browsers run no script of an image, and an SVG with one, or with
// anything from elsewhere, is refused all the same.
func ReadImage(file string) (*Image, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	body, err := io.ReadAll(io.LimitReader(opened, MaxImage+1))
	if err != nil {
		return nil, err
	}
	return ParseImage(body)
}

// ParseImage is [ReadImage] of what has been read.
func ParseImage(body []byte) (*Image, error) {
	switch {
	case len(body) > MaxImage:
		return nil, fmt.Errorf("larger than %d KiB", MaxImage>>10)
	case bytes.HasPrefix(body, []byte("\x89PNG\r\n\x1a\n")):
		size, err := png.DecodeConfig(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("not a correct PNG: %w", err)
		}
		if size.Width > 4096 || size.Height > 4096 {
			return nil, errors.New("more than 4096 pixels wide or high")
		}
		return &Image{ContentType: "image/png", Extension: ".png", Body: body}, nil
	}
	if err := checkSVG(body); err != nil {
		return nil, err
	}
	return &Image{ContentType: "image/svg+xml", Extension: ".svg", Body: body}, nil
}

// checkSVG demands an SVG that is complete in itself.
func checkSVG(body []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	root := true
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if root {
				return errors.New("neither an SVG nor a PNG")
			}
			return nil
		}
		if err != nil {
			return errors.New("neither a correct SVG nor a PNG")
		}
		switch token := token.(type) {
		case xml.Directive:
			return errors.New("an SVG with a DOCTYPE; leave it out")
		case xml.StartElement:
			if root && (token.Name.Local != "svg" || token.Name.Space != "http://www.w3.org/2000/svg") {
				return errors.New("neither an SVG nor a PNG")
			}
			root = false
			if err := checkElement(token); err != nil {
				return err
			}
		}
	}
}

func checkElement(element xml.StartElement) error {
	switch strings.ToLower(element.Name.Local) {
	case "script", "foreignobject", "iframe", "handler":
		return fmt.Errorf("an SVG with the element %s; a logo has none", element.Name.Local)
	}
	for _, attribute := range element.Attr {
		name, value := strings.ToLower(attribute.Name.Local), strings.TrimSpace(attribute.Value)
		if strings.HasPrefix(name, "on") {
			return fmt.Errorf("an SVG with the attribute %s; a logo has none", attribute.Name.Local)
		}
		if name == "href" && !strings.HasPrefix(value, "#") && !strings.HasPrefix(value, "data:image/") {
			return fmt.Errorf("an SVG that refers to %q; a logo is complete in itself", value)
		}
	}
	return nil
}
