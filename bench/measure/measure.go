// Package measure is what the benchmarks conclude with: statistics of paired slices, whether the machine was quiet while
// they were taken, and the pages that they are written into.
package measure

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Estimate is a geometric mean with its interval of 95 %.
type Estimate struct {
	Mean, Low, High float64
	// Pairs is how many ratios it comes from; with one there is no interval, with none nothing.
	Pairs int
	// Spread is the factor by which one ratio differs from the mean, typically: 1 is not at all.
	Spread float64
}

// String is the mean with its interval.
func (e Estimate) String() string {
	if e.Pairs < 2 {
		return fmt.Sprintf("%.2f", e.Mean)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", e.Mean, e.Low, e.High)
}

// Geometric takes the geometric mean of ratios: one of 2 and one of ½ come to 1. The interval is Student's, of their
// logarithms. Ratios that are not above 0 are no measurements, and are left out.
func Geometric(ratios []float64) Estimate {
	var logs []float64
	for _, ratio := range ratios {
		if ratio > 0 && !math.IsInf(ratio, 0) {
			logs = append(logs, math.Log(ratio))
		}
	}
	n := len(logs)
	if n == 0 {
		return Estimate{}
	}
	var sum, squares float64
	for _, l := range logs {
		sum += l
	}
	mean := sum / float64(n)
	e := Estimate{Mean: math.Exp(mean), Low: math.Exp(mean), High: math.Exp(mean), Pairs: n, Spread: 1}
	if n == 1 {
		return e
	}
	for _, l := range logs {
		squares += (l - mean) * (l - mean)
	}
	deviation := math.Sqrt(squares / float64(n-1))
	half := student(n-1) * deviation / math.Sqrt(float64(n))
	e.Low, e.High, e.Spread = math.Exp(mean-half), math.Exp(mean+half), math.Exp(deviation)
	return e
}

// student is the quantile of Student's distribution that leaves 2.5 % above it, by its degrees of freedom (1 or more).
func student(freedom int) float64 {
	table := []float64{
		12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
		2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
	}
	if freedom <= len(table) {
		return table[freedom-1]
	}
	return 1.960 + 2.5/float64(freedom) // within 0.003 of the distribution's, and above it
}

// Median takes the mean of the two in the middle where they are even in number; nothing comes to 0.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Quantile is what so many of 100 sorted values are at most (nearest rank); 0 of none.
func Quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*percent+99)/100-1]
}

// Milliseconds is a duration as a number.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Verdict is the word for a goal.
func Verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "missed"
}
