package brand

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// MaxImage bounds a logo, in bytes.
const MaxImage = 64 << 10

// Image is a logo or an icon.
type Image struct {
	// ContentType is image/svg+xml or image/png, Extension the end of a file name, such as ".svg".
	ContentType, Extension string
	Body                   []byte
	// Ratio is the width for each unit of the height, or 0 where the image does not say.
	Ratio float64
}

// Digest returns the beginning of the image's SHA-256 digest: what an address with it leads to never changes.
func (i *Image) Digest() string {
	sum := sha256.Sum256(i.Body)
	return hex.EncodeToString(sum[:8])
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
		if size.Width < 1 || size.Height < 1 {
			return nil, errors.New("without a pixel")
		}
		return &Image{ContentType: "image/png", Extension: ".png", Body: body, Ratio: float64(size.Width) / float64(size.Height)}, nil
	}
	ratio, err := checkSVG(body)
	if err != nil {
		return nil, err
	}
	return &Image{ContentType: "image/svg+xml", Extension: ".svg", Body: body, Ratio: ratio}, nil
}

// checkSVG demands an SVG that is complete in itself, and returns its ratio.
func checkSVG(body []byte) (ratio float64, err error) {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	var open []string // the elements around
	root := true
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if root {
				return 0, errors.New("neither an SVG nor a PNG")
			}
			return ratio, nil
		}
		if err != nil {
			return 0, errors.New("neither a correct SVG nor a PNG")
		}
		switch token := token.(type) {
		case xml.Directive:
			return 0, errors.New("an SVG with a DOCTYPE; leave it out")
		case xml.ProcInst:
			if token.Target != "xml" {
				return 0, fmt.Errorf("an SVG with the instruction %s; leave it out", token.Target)
			}
		case xml.StartElement:
			if root {
				if token.Name.Local != "svg" || token.Name.Space != namespace {
					return 0, errors.New("neither an SVG nor a PNG; an SVG begins with an element svg of the namespace " + namespace)
				}
				ratio = ratioOf(token)
			}
			root, open = false, append(open, strings.ToLower(token.Name.Local))
			if err := checkElement(token); err != nil {
				return 0, err
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 && open[len(open)-1] == "style" {
				if err := checkStyle(string(token)); err != nil {
					return 0, err
				}
			}
		}
	}
}

const namespace = "http://www.w3.org/2000/svg"

// ratioOf returns the ratio that the root element says, or 0.
func ratioOf(svg xml.StartElement) float64 {
	attribute := func(name string) string {
		for _, each := range svg.Attr {
			if each.Name.Local == name {
				return each.Value
			}
		}
		return ""
	}
	pixels := func(text string) float64 {
		value, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), "px"), 64)
		if err != nil || math.IsInf(value, 0) || !(value > 0) {
			return 0
		}
		return value
	}
	width, height := pixels(attribute("width")), pixels(attribute("height"))
	if box := strings.Fields(strings.ReplaceAll(attribute("viewBox"), ",", " ")); (width == 0 || height == 0) && len(box) == 4 {
		width, height = pixels(box[2]), pixels(box[3])
	}
	if width == 0 || height == 0 {
		return 0
	}
	return width / height
}

func checkElement(element xml.StartElement) error {
	switch strings.ToLower(element.Name.Local) {
	case "script", "foreignobject", "iframe", "handler", "listener", "audio", "video", "embed", "object":
		return fmt.Errorf("an SVG with the element %s; a logo has none", element.Name.Local)
	}
	for _, attribute := range element.Attr {
		name, value := strings.ToLower(attribute.Name.Local), strings.TrimSpace(attribute.Value)
		switch {
		case strings.HasPrefix(name, "on"):
			return fmt.Errorf("an SVG with the attribute %s; a logo has none", attribute.Name.Local)
		case name == "base" && attribute.Name.Space != "":
			return errors.New("an SVG with the attribute xml:base; leave it out")
		case (name == "href" || name == "src") && !within(value):
			return fmt.Errorf("an SVG that refers to %q; a logo is complete in itself", value)
		}
		if attribute.Name.Space != "xmlns" && name != "xmlns" {
			if err := checkStyle(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// within reports whether an address leads to a part of the image itself.
func within(address string) bool {
	return strings.HasPrefix(address, "#") || strings.HasPrefix(strings.ToLower(address), "data:image/") || address == ""
}

// reference is what CSS names an address with. Escapes could hide one.
var reference = regexp.MustCompile(`(?i)(?:url|image|image-set|src)\(\s*["']?\s*([^"')]*)`)

// checkStyle demands CSS, or the value of an attribute, that names nothing elsewhere.
func checkStyle(text string) error {
	if strings.Contains(text, "\\") && strings.Contains(text, "(") || strings.Contains(strings.ToLower(text), "@import") {
		return errors.New("an SVG with @import or escapes in its style; a logo is complete in itself")
	}
	for _, found := range reference.FindAllStringSubmatch(text, -1) {
		if !within(found[1]) {
			return fmt.Errorf("an SVG that refers to %q; a logo is complete in itself", found[1])
		}
	}
	return nil
}
