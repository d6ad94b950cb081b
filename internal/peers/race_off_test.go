//go:build !race

package peers

// raceDetector tells that the tests run under the race detector.
const raceDetector = false
