package statistics

import (
	"math"
	"strconv"
	"time"
)

const (
	// Buckets grow by a fourth of an octave: a quantile is off by 9 % at most.
	bucketsPerOctave = 4
	histogramBuckets = 128                    // up to four days
	histogramLeast   = 100 * time.Microsecond // what is shorter counts as this
)

// histogram counts durations in fixed buckets on a logarithmic scale, so that those of nodes and minutes add up.
type histogram [histogramBuckets]uint32

// bucketOf is the bucket i with least·2^((i-1)/4) ≤ d < least·2^(i/4).
func bucketOf(d time.Duration) int {
	if d < histogramLeast {
		return 0
	}

	return min(1+int(bucketsPerOctave*math.Log2(float64(d)/float64(histogramLeast))), histogramBuckets-1)
}

// bucketValue stands for all durations of a bucket: its geometric middle.
func bucketValue(bucket int) time.Duration {
	if bucket == 0 {
		return histogramLeast
	}

	return time.Duration(float64(histogramLeast) * math.Exp2((float64(bucket)-.5)/bucketsPerOctave))
}

// unknownTime is of attempts that ended with their node.
const unknownTime time.Duration = -1

func (h *histogram) add(d time.Duration) {
	if d != unknownTime {
		h[bucketOf(d)]++
	}
}

// pack is what is stored: pairs of bucket and count as the text of an array.
func (h *histogram) pack() string {
	text := []byte{'{'}

	for bucket, n := range h {
		if n == 0 {
			continue
		}

		if len(text) > 1 {
			text = append(text, ',')
		}

		text = strconv.AppendInt(text, int64(bucket), 10)
		text = strconv.AppendUint(append(text, ','), uint64(n), 10)
	}

	return string(append(text, '}'))
}

// quantiles sums histograms as they are read. Counts of many minutes may be more than a bucket of a histogram holds.
type quantiles [histogramBuckets]uint64

// addPacked adds what pack has written.
func (q *quantiles) addPacked(pairs []int32) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if bucket := pairs[i]; bucket >= 0 && bucket < histogramBuckets {
			q[bucket] += uint64(uint32(pairs[i+1])) //nolint:gosec // written from an unsigned one
		}
	}
}

// at returns the duration that the fraction p of all durations does not exceed; 0 when there are none.
func (q *quantiles) at(p float64) time.Duration {
	var total, seen uint64
	for _, n := range q {
		total += n
	}

	rank := uint64(math.Ceil(p * float64(total)))

	for bucket, n := range q {
		if seen += n; n > 0 && seen >= rank {
			return bucketValue(bucket)
		}
	}

	return 0
}
