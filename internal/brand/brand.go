// Package brand makes the tones of the pages from the one colour that a bank gives, so that words stay readable whatever the
// colour is, and reads the bank's logo.
//
// Tones are derived in OKLCH, whose lightness is that of the eye: lightness and chroma are bounded, the hue stays. What no
// screen has is brought into sRGB by less chroma (CSS Color 4, gamut mapping).
package brand

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Accent is the colour of a server that has no brand.
const Accent = "#12594a"

// Tones are the colours of a style sheet by the names of its variables, as #rrggbb.
type Tones map[string]string

// Names returns the derived variables in the order of the sheet.
func Names() []string { return []string{"paper", "tint", "line", "accent", "accent-strong"} }

var sixDigits = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// Derive returns the tones on light and on dark ground for a colour, such as "#12594a".
func Derive(accent string) (light, dark Tones, err error) {
	if !sixDigits.MatchString(accent) {
		return nil, nil, errors.New(`not a colour; write # and six hexadecimal digits, such as "#12594a"`)
	}
	value, _ := strconv.ParseUint(accent[1:], 16, 32) // the pattern has passed
	lightness, chroma, hue := fromRGB(uint8(value>>16), uint8(value>>8), uint8(value))
	tone := func(l, atMost float64) string { return toHex(l, min(chroma, atMost), hue) }
	light = Tones{
		"paper": tone(.968, .005), "tint": tone(.965, .014), "line": tone(.89, .008),
		"accent": tone(min(lightness, .47), .16), "accent-strong": tone(min(lightness, .37), .13),
	}
	dark = Tones{
		"paper": tone(.17, .006), "tint": tone(.27, .022), "line": tone(.34, .01),
		"accent": tone(max(.79, min(lightness, .86)), .11), "accent-strong": tone(.89, .07),
	}
	return light, dark, nil
}

// Declarations returns the tones as declarations of CSS.
func (t Tones) Declarations() string {
	var out strings.Builder
	for _, name := range Names() {
		fmt.Fprintf(&out, "--%s: %s;\n", name, t[name])
	}
	return out.String()
}

// fromRGB converts a colour of sRGB to OKLCH: lightness 0 to 1, chroma, and the hue in radians.
func fromRGB(r, g, b uint8) (lightness, chroma, hue float64) {
	red, green, blue := linear(r), linear(g), linear(b)
	l := math.Cbrt(0.4122214708*red + 0.5363325363*green + 0.0514459929*blue)
	m := math.Cbrt(0.2119034982*red + 0.6806995451*green + 0.1073969566*blue)
	s := math.Cbrt(0.0883024619*red + 0.2817188376*green + 0.6299787005*blue)
	a2 := 1.9779984951*l - 2.4285922050*m + 0.4505937099*s
	b2 := 0.0259040371*l + 0.7827717662*m - 0.8086757660*s
	return 0.2104542553*l + 0.7936177850*m - 0.0040720468*s, math.Hypot(a2, b2), math.Atan2(b2, a2)
}

// toLinear converts OKLCH to the linear channels of sRGB, which are outside of 0 to 1 for what no screen has.
func toLinear(lightness, chroma, hue float64) [3]float64 {
	a2, b2 := chroma*math.Cos(hue), chroma*math.Sin(hue)
	cube := func(x float64) float64 { return x * x * x }
	l := cube(lightness + 0.3963377774*a2 + 0.2158037573*b2)
	m := cube(lightness - 0.1055613458*a2 - 0.0638541728*b2)
	s := cube(lightness - 0.0894841775*a2 - 1.2914855480*b2)
	return [3]float64{
		4.0767416621*l - 3.3077115913*m + 0.2309699292*s,
		-1.2684380046*l + 2.6097574011*m - 0.3413193965*s,
		-0.0041960863*l - 0.7034186147*m + 1.7076147010*s,
	}
}

// toHex returns the colour of sRGB with this lightness and hue that has the most chroma up to the one given.
func toHex(lightness, chroma, hue float64) string {
	if !displayable(toLinear(lightness, chroma, hue)) {
		low, high := 0.0, chroma
		for range 24 {
			if middle := (low + high) / 2; displayable(toLinear(lightness, middle, hue)) {
				low = middle
			} else {
				high = middle
			}
		}
		chroma = low
	}
	channels := toLinear(lightness, chroma, hue)
	return fmt.Sprintf("#%02x%02x%02x", encoded(channels[0]), encoded(channels[1]), encoded(channels[2]))
}

func displayable(channels [3]float64) bool {
	const least = 1e-4
	for _, c := range channels {
		if c < -least || c > 1+least {
			return false
		}
	}
	return true
}

// linear is the transfer function of sRGB (IEC 61966-2-1); encoded is its inverse.
func linear(channel uint8) float64 {
	c := float64(channel) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}

func encoded(c float64) uint8 {
	c = max(0, min(c, 1))
	if c <= 0.0031308 {
		c *= 12.92
	} else {
		c = 1.055*math.Pow(c, 1/2.4) - 0.055
	}
	return uint8(math.Round(c * 255))
}
