package web

import (
	"encoding/json"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// member is one connection that is subscribed to a channel.
type member struct {
	Client      string          `json:"client"`
	User        string          `json:"user"`
	Info        json.RawMessage `json:"info,omitempty"`         // of its token
	ChannelInfo json.RawMessage `json:"channel_info,omitempty"` // of its subscription token
}

// presence lists who is subscribed to a channel, over all instances.
func (s *Server) presence(c *fiber.Ctx) error {
	channel, err := pathParam(c, "channel")
	if err != nil {
		return err
	}
	members, err := s.cfg.Hub.Presence(c.UserContext(), channel)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	out := make([]member, len(members))
	for i, m := range members {
		out[i] = member{Client: m.Client, User: m.User, Info: m.ConnInfo, ChannelInfo: m.ChannelInfo}
	}
	return writeJSON(c, http.StatusOK, struct {
		Members []member `json:"members"`
	}{out})
}

// presenceStats counts them.
func (s *Server) presenceStats(c *fiber.Ctx) error {
	channel, err := pathParam(c, "channel")
	if err != nil {
		return err
	}
	stats, err := s.cfg.Hub.PresenceStats(c.UserContext(), channel)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, struct {
		Clients int `json:"clients"`
		Users   int `json:"users"`
	}{stats.Clients, stats.Users})
}
