package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

const (
	// shortRest is how much of an unread body is read so that the connection can be used again.
	shortRest = 64 << 10
	// prefetched is what fasthttp has read of a body of known length before it calls us.
	prefetched = 8 << 10
)

// body is a request's body as it comes in: never decompressed, counted, with a deadline.
type body struct {
	from    io.Reader
	conn    net.Conn
	length  int64 // declared, or chunked
	got     int64
	left    int64 // bytes that the limit still allows
	timeout time.Duration
	idle    bool // the timeout is for each read, not for the whole
	ended   bool // nothing of it is left on the connection

	room *budget
	most int64 // bytes that its handler keeps at a time
	held int64 // of the room
}

// openBody checks what can be checked before the first byte: coding and declared length.
func (s *Server) openBody(c *fiber.Ctx, limit int64) (*body, error) {
	header := &c.Context().Request.Header
	if encoding := c.Get(fiber.HeaderContentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, newProblem(CodeUnsupportedEncoding, "")
	}
	length := header.ContentLength()
	if int64(length) > limit {
		return nil, tooLarge(limit)
	}
	b := &body{conn: c.Context().Conn(), length: int64(length), left: limit, timeout: s.cfg.BodyTimeout,
		room: &s.bodies, most: limit}
	if stream := c.Context().RequestBodyStream(); stream != nil && (length > 0 || length == chunked) {
		b.from = stream
	} else {
		b.from, b.ended = bytes.NewReader(nil), true
	}
	requestOf(c).body = b
	if length > prefetched || length == chunked {
		if err := b.extend(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// chunked is fasthttp's length of a body whose length is not declared.
const chunked = -1

func tooLarge(limit int64) *Problem {
	return problemf(CodeBodyTooLarge, "The limit is %d bytes.", limit)
}

// extend gives the connection time for the next part.
func (b *body) extend() error {
	if err := b.conn.SetReadDeadline(time.Now().Add(b.timeout)); err != nil {
		return fmt.Errorf("set the deadline of a body: %w", err)
	}
	return nil
}

// Read fails with a *Problem once the limit is passed, whatever the headers said.
func (b *body) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	if b.idle {
		if err := b.extend(); err != nil {
			return 0, err
		}
	}
	if int64(len(p)) > b.left+1 { // one more, to tell a full body from one that goes on
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	if int64(n) > b.left {
		return 0, newProblem(CodeBodyTooLarge, "")
	}
	b.left -= int64(n)
	b.got += int64(n)
	if more := min(b.got, b.most) - b.held; more > 0 {
		if !b.room.take(more) {
			return 0, newProblem(CodeBusy, "")
		}
		b.held += more
	}
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && !b.cut():
		b.ended = true
		return n, io.EOF
	default:
		return n, readProblem(err)
	}
}

// cut reports whether what fasthttp takes for the end of the body is only the end of the connection: half an upload
// is none.
func (b *body) cut() bool {
	if b.length != chunked {
		return b.got != b.length
	}
	return endedByClient(b.conn) // nothing is read from it behind the last chunk
}

// release gives the room back, when the request is over and nothing refers to the body any more.
func (b *body) release() {
	if b != nil && b.held > 0 {
		b.room.give(b.held)
		b.held = 0
	}
}

// readProblem is what a broken body means to the client, if it still listens.
func readProblem(err error) error {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return newProblem(CodeRequestTimeout, "")
	}
	return newProblem(CodeInvalidRequest, "The body broke off or its chunks are malformed.")
}

// readBody returns the whole body, of at most the route's limit, in memory of its own.
func (s *Server) readBody(c *fiber.Ctx) ([]byte, error) {
	limit := requestOf(c).route.BodyLimit
	b, err := s.openBody(c, limit)
	if err != nil {
		return nil, err
	}
	if length := c.Context().Request.Header.ContentLength(); length > 0 {
		return readDeclared(b, length)
	}
	data, err := io.ReadAll(b)
	if errors.As(err, new(*Problem)) && problemOf(err).Code == CodeBodyTooLarge {
		return nil, tooLarge(limit)
	}
	return data, err
}

// readDeclared fills a buffer of the declared length, but does not believe in megabytes before they come.
func readDeclared(b *body, length int) ([]byte, error) {
	const first = 512 << 10
	if length > first {
		buffer := bytes.NewBuffer(make([]byte, 0, first))
		_, err := buffer.ReadFrom(b)
		return buffer.Bytes(), err //nolint:wrapcheck // a problem already
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(b, data); err != nil {
		if errors.As(err, new(*Problem)) {
			return nil, err //nolint:wrapcheck // a problem already
		}
		return nil, readProblem(err)
	}
	b.ended = true // its declared length has come
	return data, nil
}

// settleBody leaves the connection where the next request can begin, or ends it: fasthttp would take what is
// left of a body for a request.
func settleBody(c *fiber.Ctx, b *body) {
	ctx := c.Context()
	length := ctx.Request.Header.ContentLength()
	stream := ctx.RequestBodyStream()
	if stream == nil || (length <= prefetched && length != chunked) || (b != nil && b.ended) {
		return
	}
	if length > 0 && length <= shortRest && !brokenOff(stream) {
		return
	}
	ctx.SetConnectionClose()
	linger(ctx.Conn())
}

// brokenOff reads a short rest and reports whether it did not come.
func brokenOff(stream io.Reader) bool {
	_, err := io.Copy(io.Discard, io.LimitReader(stream, shortRest))
	return err != nil
}

// mediaType returns the media type of the body in lower case, without parameters; empty when there is none.
func mediaType(h *fasthttp.RequestHeader) string {
	kind, _, err := mime.ParseMediaType(string(h.ContentType()))
	if err != nil {
		return "invalid"
	}
	return kind
}

// wantJSON refuses bodies that say they are something else than text. Curl's default for -d and fetch's for
// strings are let through: what counts is whether the body parses.
func wantJSON(c *fiber.Ctx) error {
	header := &c.Context().Request.Header
	if len(header.ContentType()) == 0 {
		return nil
	}
	switch kind := mediaType(header); {
	case kind == fiber.MIMEApplicationJSON, strings.HasSuffix(kind, "+json"),
		kind == fiber.MIMETextPlain, kind == fiber.MIMEApplicationForm:
		return nil
	default:
		return newProblem(CodeUnsupportedMedia, "")
	}
}
