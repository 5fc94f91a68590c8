package realtime

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of PublishOptions and PublishMany.
const (
	// MaxTags and MaxTagBytes bound a publication's tags: their number, and the bytes of all names and values.
	MaxTags     = 16
	MaxTagBytes = 1 << 10
	// MaxVersionEpochBytes is the longest VersionEpoch.
	MaxVersionEpochBytes = 255
	// MaxMessages is the most messages of one PublishMany.
	MaxMessages = 1000
)

// PublishOptions change how one publication is made. Version, HistoryTTL and Delta need a channel that keeps a
// history.
type PublishOptions struct {
	// IdempotencyKey makes a repeated publish to the same channel within ten minutes answer with the first
	// one's position instead of publishing again.
	IdempotencyKey string
	// Version, where it is not 0, says how new the state in the publication is: one that is not above the
	// version that the channel had last is skipped. It is below 2^63. A publication without a version changes
	// nothing about the channel's.
	Version uint64
	// VersionEpoch says which count Version belongs to. Where it is neither empty nor the one that the channel
	// had last, a new count begins and nothing is skipped.
	VersionEpoch string
	// Tags travel with the publication.
	Tags map[string]string
	// HistoryTTL, where it is not 0, takes the publication out of the history after that time, which is no
	// longer than the namespace's. A subscriber that would have to recover over it is told that its position
	// cannot be recovered.
	HistoryTTL time.Duration
	// Delta sends the publication to clients that negotiated fossil deltas as a difference from the one
	// before it. The namespace must allow it.
	Delta bool
}

// PublishResult is the answer to a publish.
type PublishResult struct {
	// Position is the publication's; the first one's where it was repeated, the channel's where it was
	// skipped, zero in ephemeral channels.
	Position Position
	// Skipped says that nothing was published because the channel has had that version or a higher one.
	Skipped bool
	// Repeated says that nothing was published because the idempotency key was used before.
	Repeated bool
}

// Message is one publication for PublishMany.
type Message struct {
	Channel string
	Data    []byte
	Options PublishOptions
}

// Outcome is what became of one Message.
type Outcome struct {
	PublishResult

	// Err is nil where the message was published, skipped or repeated, else one of Publish's errors.
	Err error
}

// publishFunc publishes messages that are known to be allowed, and returns an outcome for each.
type publishFunc func(ctx context.Context, messages []Message) []Outcome

// Publish sends data to a channel and returns once that is committed (in a Relaxed namespace: once it is sent and
// about to be). The errors are ErrChannelName, ErrReadOnly, ErrTooLarge, ErrNotJSON, ErrOptions, ErrBusy,
// ErrOutcomeUnknown and ErrNotRunning.
func (h *Hub) Publish(ctx context.Context, channel string, data []byte, opts PublishOptions) (PublishResult, error) {
	one := h.PublishMany(ctx, []Message{{Channel: channel, Data: data, Options: opts}})[0]
	return one.PublishResult, one.Err
}

// PublishMany publishes up to MaxMessages messages together, those of a channel in their order. Each has an
// outcome of its own, in the place of its message: a refused one keeps none of the others back.
func (h *Hub) PublishMany(ctx context.Context, messages []Message) []Outcome {
	outcomes := make([]Outcome, len(messages))
	allowed, places := make([]Message, 0, len(messages)), make([]int, 0, len(messages))
	for i := range messages {
		if err := h.publishable(len(messages), &messages[i]); err != nil {
			outcomes[i].Err = fmt.Errorf("publish to %q: %w", messages[i].Channel, err)
			continue
		}
		allowed, places = append(allowed, messages[i]), append(places, i)
	}
	if len(allowed) == 0 {
		return outcomes
	}
	for i, outcome := range h.publish(ctx, allowed) {
		if outcome.Err != nil {
			outcome.Err = fmt.Errorf("publish to %q: %w", allowed[i].Channel, outcome.Err)
		}
		outcomes[places[i]] = outcome
	}
	return outcomes
}

// publishable says why a message, one of count, cannot be published by anybody.
func (h *Hub) publishable(count int, m *Message) error {
	switch {
	case !h.Running():
		return ErrNotRunning
	case count > MaxMessages:
		return fmt.Errorf("%w: %d messages at once, the limit is %d", ErrOptions, count, MaxMessages)
	}
	if err := h.admit(m.Channel, m.Data); err != nil {
		return err
	}
	return m.Options.validate(h.namespaces.of(m.Channel))
}

// validate says what is wrong with the options for a channel with these settings.
func (o *PublishOptions) validate(settings *Namespace) error {
	keeps := settings.keepsHistory()
	for _, rule := range [...]struct {
		broken  bool
		message string
	}{
		{o.Version > math.MaxInt64, "Version must be below 2^63"},
		{o.Version == 0 && o.VersionEpoch != "", "VersionEpoch goes with a Version"},
		{len(o.VersionEpoch) > MaxVersionEpochBytes || !plainText(o.VersionEpoch), "VersionEpoch must be text of at most 255 bytes"},
		{(o.Version > 0 || o.HistoryTTL > 0) && !keeps, "Version and HistoryTTL need a channel with history"},
		{o.Delta && (!settings.Delta || !keeps), "the channel's namespace does not allow Delta"},
		{len(o.Tags) > MaxTags, "there must be at most 16 tags"},
	} {
		if rule.broken {
			return fmt.Errorf("%w: %s", ErrOptions, rule.message)
		}
	}
	if o.HistoryTTL < 0 || o.HistoryTTL > settings.HistoryTTL {
		return fmt.Errorf("%w: HistoryTTL must be between 0 and the namespace's, %s", ErrOptions, settings.HistoryTTL)
	}
	return validateTags(o.Tags)
}

func validateTags(tags map[string]string) error {
	size := 0
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		size += len(name) + len(tags[name])
		if name == "" || !plainText(name) || !plainText(tags[name]) {
			return fmt.Errorf("%w: tag %.100q: names must not be empty, names and values must be text", ErrOptions, name)
		}
	}
	if size > MaxTagBytes {
		return fmt.Errorf("%w: %d bytes of tags, the limit is %d", ErrOptions, size, MaxTagBytes)
	}
	return nil
}

// plainText says whether s can stand in the database.
func plainText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
