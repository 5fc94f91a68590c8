package main

import (
	"fmt"
	"slices"
	"strings"
)

// median is the middle of v, which is sorted on the way.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// percentile reads v, which is sorted on the way; p is 0 to 100.
func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[int(p/100*float64(len(v)-1))]
}

// tail is a p50 and a p99 in one cell.
func tail(v []float64) string {
	return fmt.Sprintf("%.2f / %.2f", percentile(v, 50), percentile(v, 99))
}

func heading(title string, columns ...string) {
	fmt.Printf("\n### %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
}

// atLeast prints a figure and the least that it should be.
func atLeast(what string, got, bound float64, unit string) {
	verdict(what, got, "at least", bound, unit, got >= bound)
}

// atMost prints a figure and the most that it should be.
func atMost(what string, got, bound float64, unit string) {
	verdict(what, got, "at most", bound, unit, got <= bound)
}

func verdict(what string, got float64, word string, bound float64, unit string, met bool) {
	outcome := "missed"
	if met {
		outcome = "met"
	}
	fmt.Printf("\n%s: **%.2f %s**. Target: %s %g %s: %s.\n", what, got, unit, word, bound, unit, outcome)
}
