package realtime

import (
	"encoding/json"
	"fmt"

	"github.com/centrifugal/centrifuge"

	"github.com/millrace-dev/millrace/realtime/internal/reader"
)

// meta is what travels and is stored beside a publication's data: who published
// it, if it was a client, and its tags.
type meta struct {
	Client string            `json:"client,omitempty"`
	User   string            `json:"user,omitempty"`
	Conn   []byte            `json:"conn,omitempty"`
	Chan   []byte            `json:"chan,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
}

// encodeMeta returns "" where there is nothing to tell.
func encodeMeta(info *centrifuge.ClientInfo, tags map[string]string) (string, error) {
	if info == nil && len(tags) == 0 {
		return "", nil
	}
	m := meta{Tags: tags}
	if info != nil {
		m.Client, m.User, m.Conn, m.Chan = info.ClientID, info.UserID, info.ConnInfo, info.ChanInfo
	}
	text, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encode a publication's sender: %w", err)
	}
	return string(text), nil
}

// decodeMeta is lenient: what cannot be read tells nothing.
func decodeMeta(text string) (*centrifuge.ClientInfo, map[string]string) {
	var m meta
	if text == "" || json.Unmarshal([]byte(text), &m) != nil {
		return nil, nil
	}
	if m.Client == "" && m.User == "" {
		return nil, m.Tags
	}
	return &centrifuge.ClientInfo{ClientID: m.Client, UserID: m.User, ConnInfo: m.Conn, ChanInfo: m.Chan}, m.Tags
}

// publication makes centrifuge's form of one.
func publication(p *reader.Publication) *centrifuge.Publication {
	info, tags := decodeMeta(p.Meta)
	result := &centrifuge.Publication{Offset: p.Offset, Data: p.Data, Info: info, Tags: tags}
	if !p.At.IsZero() {
		result.Time = p.At.UnixMilli()
	}
	return result
}
