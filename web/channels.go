package web

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
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

// publication is a message of the history: JSON as itself, anything else in base64.
type publication struct {
	Offset uint64            `json:"offset,string"`
	Data   json.RawMessage   `json:"data,omitempty"`
	Base64 string            `json:"base64,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
	At     *time.Time        `json:"at,omitempty"`
}

func newPublication(p realtime.Publication) publication {
	out := publication{Offset: p.Offset, Tags: p.Tags}
	if json.Valid(p.Data) && utf8.Valid(p.Data) {
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

func historyParams() []Param {
	return []Param{
		{"query", "limit", "How many messages at most, up to 1000; 100 when absent."},
		{"query", "offset", "With epoch: the position after which to begin, with reverse before which."},
		{"query", "epoch", "Of the position."},
		{"query", "reverse", "true: the newest first."},
	}
}

func historyQuery(c *fiber.Ctx) (realtime.HistoryQuery, error) {
	q := newQuery(c)
	want := realtime.HistoryQuery{Limit: int(q.number("limit", 1, maxHistoryLimit)), Reverse: q.flag("reverse")}
	want.Limit = cmp.Or(want.Limit, defaultHistoryLimit)
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

// listChannels answers with channels that have subscribers, of those whose presence the caller may see.
func (s *Server) listChannels(c *fiber.Ctx) error {
	q := newQuery(c)
	limit := int(q.number("limit", 1, realtime.MaxChannels))
	if err := q.err(); err != nil {
		return err
	}
	query := realtime.ChannelQuery{Prefix: q.text("prefix"), Cursor: q.text("cursor"), Limit: cmp.Or(limit, defaultListLimit)}
	may := s.owners.credentials(identityOf(c))
	var all realtime.ChannelPage
	var parts []realtime.ChannelPage
	for _, prefix := range visiblePrefixes(identityOf(c).Patterns(auth.ScopeChannelsPresence), query.Prefix) {
		part := query
		part.Prefix = prefix
		page, err := s.cfg.Hub.Channels(c.UserContext(), part)
		if err != nil {
			return err //nolint:wrapcheck // mapped by problemOf
		}
		parts = append(parts, page)
		all.Missing = max(all.Missing, page.Missing)
	}
	all.Channels, all.Next = joinPages(parts, query.Limit)
	all.Channels = slices.DeleteFunc(all.Channels, func(channel realtime.ChannelInfo) bool {
		return !may.May(realtime.ActionPresence, channel.Channel)
	})
	return writeJSON(c, http.StatusOK, struct {
		Channels []realtime.ChannelInfo `json:"channels"`
		Next     string                 `json:"next"`
		Missing  int                    `json:"missing,omitempty"` // instances that did not answer
	}{all.Channels, all.Next, all.Missing})
}

// visiblePrefixes are what the names begin with that are wanted and that the patterns reach. None of them begins
// with another.
func visiblePrefixes(patterns []auth.Pattern, wanted string) []string {
	var all []string
	for _, pattern := range patterns {
		prefix, _ := strings.CutSuffix(string(pattern), "*")
		switch {
		case strings.HasPrefix(wanted, prefix):
			prefix = wanted
		case !strings.HasPrefix(prefix, wanted):
			continue
		}
		all = append(all, prefix)
	}
	slices.Sort(all)
	var kept []string
	for _, prefix := range all { // sorted, so what begins with another stands behind it
		if len(kept) == 0 || !strings.HasPrefix(prefix, kept[len(kept)-1]) {
			kept = append(kept, prefix)
		}
	}
	return kept
}

// joinPages puts pages of different prefixes, each of at most limit channels, in one order, up to where all of them
// are complete.
func joinPages(parts []realtime.ChannelPage, limit int) (channels []realtime.ChannelInfo, next string) {
	channels = []realtime.ChannelInfo{}
	for _, part := range parts {
		channels = append(channels, part.Channels...)
		if part.Next != "" && (next == "" || part.Next < next) {
			next = part.Next
		}
	}
	slices.SortFunc(channels, func(a, b realtime.ChannelInfo) int { return strings.Compare(a.Channel, b.Channel) })
	if next != "" {
		channels = slices.DeleteFunc(channels, func(c realtime.ChannelInfo) bool { return c.Channel > next })
	}
	if len(channels) > limit {
		channels = channels[:limit]
		next = channels[limit-1].Channel
	}
	return channels, next
}

func listChannelsParams() []Param {
	return []Param{
		{"query", "prefix", "What the names begin with, such as room:."},
		{"query", "limit", "How many channels at most, up to 1000; 50 when absent."},
		{"query", "cursor", "The next of the page before."},
	}
}
