//go:build !race

package js

const RaceEnabled = false
