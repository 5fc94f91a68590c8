package statistics

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

const (
	fingerprintMessage = 1 << 10 // bytes of a message that are looked at
	patternBytes       = 300
	frameBytes         = 200
)

// fingerprint names a failure's kind: its function, its code, its message without what differs from one job to the
// next, and the place where it was thrown.
func fingerprint(function, code, pattern, frame string) string {
	sum := sha256.Sum256([]byte(function + "\x00" + code + "\x00" + pattern + "\x00" + frame))

	return hex.EncodeToString(sum[:12])
}

// patternOf returns a message without numbers, ids, quoted texts, paths and addresses: "user 17 of 'ada' is gone"
// becomes "user # of '…' is gone".
func patternOf(message string) string {
	message = cutText(message, fingerprintMessage)

	var out strings.Builder

	for i := 0; i < len(message) && out.Len() < patternBytes; {
		c := message[i]

		switch {
		case quoteBegins(message, i):
			if end := strings.IndexByte(message[i+1:], c); end >= 0 {
				out.WriteString(string(c) + "…" + string(c))
				i += end + 2

				continue
			}

			out.WriteByte(c)
			i++
		case ofWord(c):
			n := 1
			for i+n < len(message) && ofWord(message[i+n]) {
				n++
			}

			out.WriteString(wordPattern(message[i : i+n]))
			i += n
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if out.Len() > 0 && !strings.HasSuffix(out.String(), " ") {
				out.WriteByte(' ')
			}
			i++
		default:
			out.WriteByte(c)
			i++
		}
	}

	return cutText(strings.TrimSpace(out.String()), patternBytes)
}

// quoteBegins tells an opening quote from an apostrophe.
func quoteBegins(text string, i int) bool {
	switch text[i] {
	case '"', '`':
		return true
	case '\'':
		return i == 0 || !ofWord(text[i-1])
	}

	return false
}

// ofWord: bytes of names, numbers, paths and addresses. Letters beyond ASCII are of words.
func ofWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf ||
		strings.IndexByte("_-./\\:@%+~$", c) >= 0
}

// wordPattern replaces a word that holds a digit or is a path. What ends it as punctuation stays.
func wordPattern(word string) string {
	body := strings.TrimRight(word, ".:-")
	end := word[len(body):]

	switch {
	case strings.ContainsAny(body, "/\\") && len(body) > 1:
		return "/…" + end
	case strings.ContainsAny(body, "0123456789"):
		return "#" + end
	}

	return word
}

// frameOf returns the first frame of a stack that is the function's own, without line and column, so that an edit
// somewhere else in the file does not make another failure of it.
func frameOf(stack string) string {
	foreign := false // the line before named a function that is not the user's

	for line := range strings.Lines(stack) {
		line = strings.TrimSpace(line)

		switch {
		case strings.HasPrefix(line, "at "): // JavaScript
			if !strings.Contains(line, "native") && !strings.Contains(line, "<anonymous>") {
				return frameText(line)
			}
		case strings.HasPrefix(line, "goroutine "), line == "":
		case strings.Contains(line, ".go:"): // where the function of the line before stands
			if !foreign {
				name, _, _ := strings.Cut(line, " +0x")

				return frameText("at " + name[strings.LastIndexByte(name, '/')+1:])
			}
		default:
			foreign = strings.HasPrefix(line, "runtime") || strings.HasPrefix(line, "panic(") ||
				strings.HasPrefix(line, "github.com/millrace-dev/millrace/jobs.(*dispatcher)")
		}
	}

	return ""
}

// frameText cuts the numbers of lines and columns off.
func frameText(frame string) string {
	var out strings.Builder

	for i := 0; i < len(frame); i++ {
		if frame[i] == ':' && i+1 < len(frame) && frame[i+1] >= '0' && frame[i+1] <= '9' {
			for i+1 < len(frame) && (frame[i+1] == ':' || frame[i+1] >= '0' && frame[i+1] <= '9') {
				i++
			}

			continue
		}

		out.WriteByte(frame[i])
	}

	return cutText(out.String(), frameBytes)
}

// cutText cuts text to limit bytes without cutting a character in two.
func cutText(text string, limit int) string {
	if len(text) <= limit {
		return text
	}

	return strings.ToValidUTF8(text[:limit], "")
}
