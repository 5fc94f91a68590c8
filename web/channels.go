package web

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

const (
	defaultHistoryLimit = 100
	maxHistoryLimit     = 1000
)

// position is a place in a channel's history; the offset is a text because JavaScript loses digits.
type position struct {
	Offset uint64 `json:"offset,string"`
	Epoch  string `json:"epoch"`
}

// messageLimit is the most that any namespace takes; the hub knows each one's own.
func (s *Server) messageLimit() int64 { return int64(s.cfg.Hub.MaxFrame()) }

// publish sends the body as it is. 200 says that it is committed, with the position it got.
func (s *Server) publish(c *fiber.Ctx) error {
	channel, err := pathParam(c, "channel")
	if err != nil {
		return err
	}
	data, err := s.readBody(c)
	if err != nil {
		return err
	}
	result, err := s.cfg.Hub.Publish(c.UserContext(), channel, data, realtime.PublishOptions{
		IdempotencyKey: ownKey(identityOf(c), c.Get(headerIdempotencyKey)),
	})
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, position(result.Position))
}

// publication is a message of the history: JSON as itself, anything else in base64.
type publication struct {
	Offset uint64          `json:"offset,string"`
	Data   json.RawMessage `json:"data,omitempty"`
	Base64 string          `json:"base64,omitempty"`
	At     *time.Time      `json:"at,omitempty"`
}

func newPublication(p realtime.Publication) publication {
	out := publication{Offset: p.Offset}
	if json.Valid(p.Data) {
		out.Data = p.Data
	} else {
		out.Base64 = base64.StdEncoding.EncodeToString(p.Data)
	}
	if !p.At.IsZero() {
		out.At = &p.At
	}
	return out
}

// history answers with publications after (or with ?reverse=true before) a position, and the top position.
func (s *Server) history(c *fiber.Ctx) error {
	channel, err := pathParam(c, "channel")
	if err != nil {
		return err
	}
	want, err := historyQuery(c)
	if err != nil {
		return err
	}
	page, err := s.cfg.Hub.History(c.UserContext(), channel, want)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	messages := make([]publication, len(page.Publications))
	for i, p := range page.Publications {
		messages[i] = newPublication(p)
	}
	return writeJSON(c, http.StatusOK, struct {
		Publications []publication `json:"publications"`
		Top          position      `json:"top"`
	}{messages, position(page.Top)})
}

func historyQuery(c *fiber.Ctx) (realtime.HistoryQuery, error) {
	q := newQuery(c)
	want := realtime.HistoryQuery{Limit: int(q.number("limit", 1, maxHistoryLimit)), Reverse: q.flag("reverse")}
	if want.Limit == 0 {
		want.Limit = defaultHistoryLimit
	}
	offset, epoch := q.text("offset"), q.text("epoch")
	if offset != "" || epoch != "" {
		n, err := strconv.ParseUint(offset, 10, 64)
		if err != nil || epoch == "" {
			q.fail("offset", "and epoch are a position of this channel, both or neither")
		}
		want.Since = &realtime.Position{Offset: n, Epoch: epoch}
	}
	return want, q.err()
}
