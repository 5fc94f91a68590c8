package realtime

import (
	"encoding/json"
	"fmt"

	"github.com/centrifugal/centrifuge"

	"github.com/millrace-dev/millrace/realtime/internal/reader"
)

// meta is what travels and is stored beside a publication's data: who published
// it, if it was a client, its tags, and whether it may be sent as a difference.
type meta struct {
	Client string            `json:"client,omitempty"`
	User   string            `json:"user,omitempty"`
	Conn   []byte            `json:"conn,omitempty"`
	Chan   []byte            `json:"chan,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
	Delta  bool              `json:"delta,omitempty"`
}

// encodeMeta returns "" where there is nothing to tell.
func encodeMeta(info *centrifuge.ClientInfo, tags map[string]string) (string, error) {
	return encodeDeltaMeta(info, tags, false)
}

func encodeDeltaMeta(info *centrifuge.ClientInfo, tags map[string]string, delta bool) (string, error) {
	if info == nil && len(tags) == 0 && !delta {
		return "", nil
	}
	m := meta{Tags: tags, Delta: delta}
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
func decodeMeta(text string) (m meta) {
	if text == "" || json.Unmarshal([]byte(text), &m) != nil {
		return meta{}
	}
	return m
}

// info is who published it, nil if that was no client.
func (m meta) info() *centrifuge.ClientInfo {
	if m.Client == "" && m.User == "" {
		return nil
	}
	return &centrifuge.ClientInfo{ClientID: m.Client, UserID: m.User, ConnInfo: m.Conn, ChanInfo: m.Chan}
}

// newPublication makes centrifuge's form of one and says whether it may be sent
// as a difference.
func newPublication(p *reader.Publication) (publication *centrifuge.Publication, delta bool) {
	m := decodeMeta(p.Meta)
	publication = &centrifuge.Publication{Offset: p.Offset, Data: p.Data, Info: m.info(), Tags: m.Tags}
	if !p.At.IsZero() {
		publication.Time = p.At.UnixMilli()
	}
	return publication, m.Delta
}
