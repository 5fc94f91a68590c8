package doors

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/millrace-dev/millrace/realtime"
)

// positions are where a stream's channels stand. As an event id they are written like a query string,
// "room%3Aa=12.epoch&room%3Ab=3.epoch", so that the id of any event is enough to go on from there.
type positions map[string]realtime.Position

// note takes up the position of an event; channels without history have none.
func (p positions) note(event realtime.Event) {
	if event.Position != (realtime.Position{}) {
		p[event.Channel] = event.Position
	}
}

func (p positions) id() string {
	values := make(url.Values, len(p))
	for channel, position := range p {
		values.Set(channel, strconv.FormatUint(position.Offset, 10)+"."+position.Epoch)
	}
	return values.Encode()
}

// longestID is the most bytes that an id of these channels will have.
func longestID(names []string) int {
	const digits, epoch = 16, 8
	size := 0
	for _, name := range names {
		size += len(url.QueryEscape(name)) + len("=.&") + digits + epoch
	}
	return size
}

// parsePositions reports false for what id did not write.
func parsePositions(id string) (positions, bool) {
	values, err := url.ParseQuery(id)
	if err != nil {
		return nil, false
	}
	p := make(positions, len(values))
	for channel := range values {
		offset, epoch, found := strings.Cut(values.Get(channel), ".")
		number, err := strconv.ParseUint(offset, 10, 64)
		if err != nil || !found {
			return nil, false
		}
		p[channel] = realtime.Position{Offset: number, Epoch: epoch}
	}
	return p, true
}

// startingAt gives the channels the positions of an event id. Channels that it does not name start now. An id
// that cannot be read is a position that cannot be recovered, so that the client is told and reloads.
func startingAt(names []string, id string) []realtime.StreamChannel {
	known, ok := parsePositions(id)
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
	p := make(positions, len(channels))
	for _, channel := range channels {
		if channel.Since != nil {
			p[channel.Name] = *channel.Since
		}
	}
	return p
}
