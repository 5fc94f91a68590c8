package doors

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/millrace-dev/millrace/realtime"
)

// positions are where a stream's channels stand. The id of an event is those of all of them, so that any event's
// is enough to go on from there: "epoch:offset" in a stream of one channel, else with the names, like a query
// string, "room%3Aa=epoch:12&room%3Ab=epoch:3".
type positions struct {
	names []string
	by    map[string]realtime.Position
}

// note takes up the position of an event; channels without history have none.
func (p positions) note(event realtime.Event) {
	if event.Position != (realtime.Position{}) {
		p.by[event.Channel] = event.Position
	}
}

func (p positions) id() string {
	var id strings.Builder
	for _, name := range p.names {
		position, known := p.by[name]
		if !known {
			continue
		}
		if len(p.names) > 1 {
			if id.Len() > 0 {
				id.WriteByte('&')
			}
			id.WriteString(url.QueryEscape(name))
			id.WriteByte('=')
		}
		// The epoch may be what a client made up: nothing of it may end the line.
		id.WriteString(url.QueryEscape(position.Epoch))
		id.WriteByte(':')
		id.WriteString(strconv.FormatUint(position.Offset, 10))
	}
	return id.String()
}

// longestID is the most bytes that an id of these channels will have.
func longestID(names []string) int {
	const digits, epoch = 16, 8
	size := 0
	for _, name := range names {
		size += len(url.QueryEscape(name)) + len("=:&") + digits + epoch
	}
	return size
}

// parseID reads the id of an event of a stream of these channels, and reports false for what id did not write. The
// id of one channel may also be with its name.
func parseID(names []string, id string) (map[string]realtime.Position, bool) {
	if id != "" && len(names) == 1 && !strings.Contains(id, "=") {
		id = url.QueryEscape(names[0]) + "=" + id
	}
	values, err := url.ParseQuery(id)
	if err != nil {
		return nil, false
	}
	by := make(map[string]realtime.Position, len(values))
	for channel := range values {
		text := values.Get(channel)
		colon := strings.LastIndexByte(text, ':')
		number, err := strconv.ParseUint(text[colon+1:], 10, 64)
		if err != nil || colon < 0 {
			return nil, false
		}
		by[channel] = realtime.Position{Offset: number, Epoch: text[:colon]}
	}
	return by, true
}

// startingAt gives the channels the positions of an event id. Channels that it does not name start now. An id
// that cannot be read is a position that cannot be recovered, so that the client is told and reloads.
func startingAt(names []string, id string) []realtime.StreamChannel {
	known, ok := parseID(names, id)
	channels := make([]realtime.StreamChannel, len(names))
	for i, name := range names {
		channels[i].Name = name
		if !ok {
			channels[i].Since = &realtime.Position{Epoch: "unreadable"}
		} else if position, found := known[name]; found {
			channels[i].Since = &position
		}
	}
	return channels
}

// positionsOf are those that the channels start from: until a channel is taken up, it stands there.
func positionsOf(channels []realtime.StreamChannel) positions {
	p := positions{by: make(map[string]realtime.Position, len(channels))}
	for _, channel := range channels {
		p.names = append(p.names, channel.Name)
		if channel.Since != nil {
			p.by[channel.Name] = *channel.Since
		}
	}
	return p
}
