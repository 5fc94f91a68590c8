package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/internal/auth"
	"github.com/millrace-dev/millrace/realtime"
)

// maxBroadcast is the most channels of one line.
const maxBroadcast = 1000

// publishBatch publishes many messages, and messages to many channels.
func (s *Server) publishBatch(c *fiber.Ctx) error {
	who := identityOf(c)
	kind := &messageBatch{hub: s.cfg.Hub, who: who, may: s.owners.credentials(who)}
	// Base64 takes a third more than the message, and the names of a broadcast have to fit too.
	longest := int(s.messageLimit())*3/2 + maxBroadcast*realtime.MaxChannelBytes
	return answerBatch[messageLine, messageResult](s, c, kind, longest)
}

// messageLine is one message for one channel or for many.
type messageLine struct {
	Channel  string          `json:"channel"`
	Channels []string        `json:"channels"`
	Data     json.RawMessage `json:"data"`
	Base64   *string         `json:"base64"` // instead of data: bytes
	Options  publishOptions  `json:"options"`
}

// messageResult is what became of a message in one channel.
type messageResult struct {
	Index   int    `json:"index"` // of the line
	Channel string `json:"channel,omitempty"`
	*published

	Error *Problem `json:"error,omitempty"`
}

// messageBatch publishes what the lines say.
type messageBatch struct {
	hub   *realtime.Hub
	who   auth.Identity
	may   realtime.Credentials
	total int // of messages so far, each of which has a result
}

func (b *messageBatch) read(line []byte) (messageLine, error) {
	var said messageLine
	if err := decodeJSON(line, &said); err != nil {
		return said, err
	}
	if said.Channel != "" && said.Channels == nil {
		said.Channels = []string{said.Channel}
	} else if said.Channel != "" {
		return said, fieldProblem(CodeValidationFailed, FieldError{Field: "channels", Message: "cannot stand beside channel"})
	}
	if n := len(said.Channels); n == 0 || n > maxBroadcast {
		return said, fieldProblem(CodeValidationFailed, FieldError{Field: "channels", Message: "is 1 to 1000 names; channel is one"})
	}
	if (said.Data == nil) == (said.Base64 == nil) {
		return said, fieldProblem(CodeValidationFailed, FieldError{Field: "data", Message: "is the message, as JSON, or base64 is"})
	}
	if said.Base64 != nil {
		bytes, err := base64.StdEncoding.DecodeString(*said.Base64)
		if err != nil {
			return said, fieldProblem(CodeValidationFailed, FieldError{Field: "base64", Message: "is not base64 with padding"})
		}
		said.Data, said.Base64 = bytes, nil
	}
	if b.total += len(said.Channels); b.total > batchLines {
		return said, problemf(CodeBodyTooLarge, "One request holds at most %d messages.", batchLines)
	}
	return said, nil
}

// insert publishes a group, as many messages at a time as the hub takes. Those of one channel keep their order.
func (b *messageBatch) insert(ctx context.Context, group []batchItem[messageLine]) ([][]messageResult, error) {
	results := make([][]messageResult, len(group))
	chunk := &messageChunk{hub: b.hub}
	for i, item := range group {
		results[i] = make([]messageResult, len(item.value.Channels))
		options := item.value.Options.options(b.who)
		for j, channel := range item.value.Channels {
			result := &results[i][j]
			result.Index, result.Channel = item.index, clip(channel)
			if err := b.hub.Allow(b.may, realtime.ActionPublish, channel); err != nil {
				result.Error = refusedAction(err, b.who)
				continue
			}
			chunk.add(ctx, realtime.Message{Channel: channel, Data: item.value.Data, Options: options}, result)
		}
	}
	chunk.publish(ctx)
	return results, chunk.outage()
}

// messageChunk is what goes to the hub at once, with where its outcomes go.
type messageChunk struct {
	hub      *realtime.Hub
	messages []realtime.Message
	results  []*messageResult
	failed   error // of a message, when it was not the message's fault
	tried    int
	failures int
}

func (c *messageChunk) add(ctx context.Context, message realtime.Message, result *messageResult) {
	c.messages, c.results = append(c.messages, message), append(c.results, result)
	if len(c.messages) == realtime.MaxMessages {
		c.publish(ctx)
	}
}

func (c *messageChunk) publish(ctx context.Context) {
	if len(c.messages) == 0 {
		return
	}
	c.tried += len(c.messages)
	for i, outcome := range c.hub.PublishMany(ctx, c.messages) {
		if outcome.Err == nil {
			answer := newPublished(outcome.PublishResult)
			c.results[i].published = &answer
			continue
		}
		c.results[i].Error = problemOf(outcome.Err)
		if c.results[i].Error.Status >= http.StatusInternalServerError {
			c.failed = outcome.Err
			c.failures++
		}
	}
	c.messages, c.results = c.messages[:0], c.results[:0]
}

// outage is the error of a group of which nothing could be published for a reason that is not the messages'.
func (c *messageChunk) outage() error {
	if c.failures < c.tried {
		return nil
	}
	return c.failed
}

func (b *messageBatch) refuse(index int, why *Problem) messageResult {
	return messageResult{Index: index, Error: why}
}

func (b *messageBatch) accepted(r messageResult) bool { return r.Error == nil }

func (b *messageBatch) count(line messageLine) int { return len(line.Channels) }
