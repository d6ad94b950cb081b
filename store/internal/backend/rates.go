package backend

import (
	"errors"
	"fmt"
	"math"
	"time"

	"countersign/store"
)

// CheckRates refuses rates that cannot be counted, and a key that is given twice.
func CheckRates(rates []store.Rate) error {
	seen := make(map[store.Digest]bool, len(rates))
	for _, rate := range rates {
		switch {
		case rate.Burst < 1, rate.Interval < time.Microsecond, rate.Interval%time.Microsecond != 0,
			rate.Interval > math.MaxInt64/time.Duration(rate.Burst+1):
			return fmt.Errorf("store: a rate of %d at once and one each %s cannot be counted", rate.Burst, rate.Interval)
		case seen[rate.Key]:
			return errors.New("store: two rates of one call have the same key")
		}
		seen[rate.Key] = true
	}
	return nil
}
