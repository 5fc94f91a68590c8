package web

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// checkFraming refuses what two HTTP parsers may read differently, which is how requests are smuggled through
// a proxy: a length given twice in two ways, codings other than chunked, folded header lines, bare line feeds,
// versions that do not exist. fasthttp 1.72 takes all of them.
func checkFraming(h *fasthttp.RequestHeader) *Problem {
	if version := string(h.Protocol()); version != "HTTP/1.1" && version != "HTTP/1.0" {
		return newProblem(CodeInvalidRequest, "There is no such version of HTTP here.")
	}
	length, coding := false, false
	for rest := h.RawHeaders(); len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		line := rest[:end]
		rest = rest[end+1:]
		if len(line) == 0 || line[len(line)-1] != '\r' {
			return newProblem(CodeInvalidRequest, "A header line does not end with CR LF.")
		}
		if line[0] == ' ' || line[0] == '\t' {
			return newProblem(CodeInvalidRequest, "A header line is folded.")
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte(fasthttp.HeaderContentLength)):
			length = true
		case bytes.EqualFold(name, []byte(fasthttp.HeaderTransferEncoding)):
			coding = true
			if !bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked")) {
				return newProblem(CodeInvalidRequest, "The Transfer-Encoding is not chunked.")
			}
		}
	}
	if length && coding {
		return newProblem(CodeInvalidRequest, "The request has both Content-Length and Transfer-Encoding.")
	}
	return nil
}
