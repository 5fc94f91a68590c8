package doors

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/millrace-dev/millrace/realtime"
)

// The messages of streams and plain WebSockets, one JSON object each:
//
//	{"channel":"room:a","offset":12,"epoch":"x","data":{…}}           a publication
//	{"channel":"job:7","snapshot":true,"data":{…}}                    the state of a view, its first message
//	{"event":"subscribed","channel":"room:a","offset":11,"epoch":"x","recovered":true}
//	{"event":"unrecoverable","channel":"room:a","offset":11,"epoch":"x"}
//	{"event":"disconnect","code":3001,"reason":"shutdown","reconnect":true}    streams only, the last one
//
// offset and epoch are left out where a channel keeps no history. Data that is not JSON comes as "base64".
const (
	eventSubscribed    = "subscribed"
	eventUnrecoverable = "unrecoverable"
	eventDisconnect    = "disconnect"
)

// eventName is the name of a notice, empty for messages.
func eventName(event realtime.Event) string {
	switch event.Kind {
	case realtime.EventSubscribed:
		return eventSubscribed
	case realtime.EventUnrecoverable:
		return eventUnrecoverable
	case realtime.EventMessage, realtime.EventSnapshot:
		return ""
	}
	return ""
}

// appendMessage appends an event's JSON object to b. Data goes in as it was published.
func appendMessage(b []byte, event realtime.Event) []byte {
	b = append(b, '{')
	name := eventName(event)
	if name != "" {
		b = append(b, `"event":"`+name+`",`...)
	}
	b = appendText(append(b, `"channel":`...), event.Channel)
	if event.Position != (realtime.Position{}) {
		b = strconv.AppendUint(append(b, `,"offset":`...), event.Position.Offset, 10)
		b = appendText(append(b, `,"epoch":`...), event.Position.Epoch)
	}
	switch {
	case event.Kind == realtime.EventSubscribed:
		b = strconv.AppendBool(append(b, `,"recovered":`...), event.Recovered)
	case name != "":
	case event.Kind == realtime.EventSnapshot:
		b = appendData(append(b, `,"snapshot":true`...), event.Data)
	default:
		b = appendData(b, event.Data)
	}
	return append(b, '}')
}

func appendData(b, data []byte) []byte {
	if json.Valid(data) && utf8.Valid(data) {
		return append(append(b, `,"data":`...), data...)
	}
	b = append(b, `,"base64":"`...)
	return append(base64.StdEncoding.AppendEncode(b, data), '"')
}

// appendText appends a JSON string. Names and epochs are valid UTF-8, which always marshals.
func appendText(b []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

// appendDisconnect appends why a stream ends.
func appendDisconnect(b []byte, why realtime.DisconnectError) []byte {
	b = strconv.AppendUint(append(b, `{"event":"disconnect","code":`...), uint64(why.Code), 10)
	b = appendText(append(b, `,"reason":`...), why.Reason)
	b = strconv.AppendBool(append(b, `,"reconnect":`...), why.Reconnect())
	return append(b, '}')
}
