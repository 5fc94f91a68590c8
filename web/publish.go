package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/realtime"
)

// publishOptions are realtime.PublishOptions in JSON.
type publishOptions struct {
	IdempotencyKey string            `json:"idempotency_key"`
	Version        version           `json:"version"`
	VersionEpoch   string            `json:"version_epoch"`
	Tags           map[string]string `json:"tags"`
	HistoryTTL     duration          `json:"history_ttl"`
	Delta          bool              `json:"delta"`
}

// version is a number, or its text for those whose numbers lose digits.
type version uint64

// UnmarshalJSON reads both.
func (v *version) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	n, err := strconv.ParseUint(string(bytes.Trim(data, `"`)), 10, 64)
	if err != nil {
		return &json.UnmarshalTypeError{Value: "value that is no whole number", Type: reflect.TypeFor[version]()}
	}
	*v = version(n)
	return nil
}

// options are the caller's own: an idempotency key is not shared with others.
func (o publishOptions) options(who auth.Identity) realtime.PublishOptions {
	return realtime.PublishOptions{
		IdempotencyKey: ownKey(who, o.IdempotencyKey),
		Version:        uint64(o.Version),
		VersionEpoch:   o.VersionEpoch,
		Tags:           o.Tags,
		HistoryTTL:     time.Duration(o.HistoryTTL),
		Delta:          o.Delta,
	}
}

// publishQuery reads the options from the query and the header of a request whose body is the message.
func publishQuery(c *fiber.Ctx) (publishOptions, error) {
	q := newQuery(c)
	said := publishOptions{
		IdempotencyKey: c.Get(headerIdempotencyKey),
		VersionEpoch:   q.text("version_epoch"),
		HistoryTTL:     duration(q.duration("history_ttl")),
		Delta:          q.flag("delta"),
	}
	if text := q.text("version"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			q.fail("version", "is a whole number")
		}
		said.Version = version(n)
	}
	for _, pair := range c.Context().QueryArgs().PeekMulti("tag") {
		name, value, found := strings.Cut(string(pair), ":")
		if !found {
			q.fail("tag", "is name:value; several tags are several parameters")
			continue
		}
		if said.Tags == nil {
			said.Tags = map[string]string{}
		}
		said.Tags[name] = value
	}
	return said, q.err()
}

func publishParams() []Param {
	return []Param{
		{"header", headerIdempotencyKey, "Repeated within ten minutes it answers with the first one's position."},
		{"query", "version", "How new the state in the message is; one not above the channel's last is skipped."},
		{"query", "version_epoch", "Which count the version belongs to."},
		{"query", "tag", "name:value; may be repeated."},
		{"query", "history_ttl", "When the message leaves the history, such as 30s; at most the namespace's."},
		{"query", "delta", "true: clients that negotiated deltas get the difference to the message before."},
	}
}

// published is the answer to a publish that was committed.
type published struct {
	position

	Skipped  bool `json:"skipped,omitempty"`  // the channel has had that version, or a newer one
	Repeated bool `json:"repeated,omitempty"` // by its idempotency key
}

func newPublished(result realtime.PublishResult) published {
	return published{position: position(result.Position), Skipped: result.Skipped, Repeated: result.Repeated}
}

// publish sends the body as it is. 200 says that it is committed, with the position it got.
func (s *Server) publish(c *fiber.Ctx) error {
	channel, err := pathParam(c, "channel")
	if err != nil {
		return err
	}
	said, err := publishQuery(c)
	if err != nil {
		return err
	}
	data, err := s.readBody(c)
	if err != nil {
		return err
	}
	result, err := s.cfg.Hub.Publish(c.UserContext(), channel, data, said.options(identityOf(c)))
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	if result.Repeated {
		c.Set(headerReplayed, "true")
	}
	return writeJSON(c, http.StatusOK, newPublished(result))
}

// optionsProblem is for options that the channel does not take. The hub's words name the fields of Go.
func optionsProblem(err error) *Problem {
	if !errors.Is(err, realtime.ErrOptions) {
		return nil
	}
	_, detail, _ := strings.Cut(err.Error(), realtime.ErrOptions.Error()+": ")
	names := strings.NewReplacer("VersionEpoch", "version_epoch", "Version", "version", "HistoryTTL", "history_ttl", "Delta", "delta")
	return impossible(names.Replace(detail))
}
