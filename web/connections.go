package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace-dev/millrace/realtime"
)

// countConnections takes ?user, ?client and ?key, as the commands do.
func (s *Server) countConnections(c *fiber.Ctx) error {
	q := newQuery(c)
	target := realtime.Target{User: q.text("user"), Client: q.text("client"), Key: q.text("key")}
	count, err := s.cfg.Hub.CountConnections(c.UserContext(), target)
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return writeJSON(c, http.StatusOK, struct {
		Connections int `json:"connections"`
		Missing     int `json:"missing,omitempty"` // instances that did not answer
	}{count.Connections, count.Missing})
}

// disconnect takes {user, client, key, code, reason, reconnect}. 204 says that the command is committed: each
// instance carries it out within moments.
func (s *Server) disconnect(c *fiber.Ctx) error {
	var said struct {
		realtime.Target

		Code      uint32 `json:"code"`
		Reason    string `json:"reason"`
		Reconnect bool   `json:"reconnect"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	err := s.cfg.Hub.Disconnect(c.UserContext(), said.Target, realtime.DisconnectOptions{
		Code: said.Code, Reason: said.Reason, Reconnect: said.Reconnect,
	})
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return c.SendStatus(http.StatusNoContent)
}

// unsubscribe takes {user, client, key, channel}.
func (s *Server) unsubscribe(c *fiber.Ctx) error {
	var said struct {
		realtime.Target

		Channel string `json:"channel"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	if err := s.cfg.Hub.Unsubscribe(c.UserContext(), said.Target, said.Channel); err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return c.SendStatus(http.StatusNoContent)
}

// refresh takes {user, client, key, expires_at} or {…, expired}.
func (s *Server) refresh(c *fiber.Ctx) error {
	var said struct {
		realtime.Target

		ExpiresAt time.Time `json:"expires_at"`
		Expired   bool      `json:"expired"`
	}
	if err := s.readJSON(c, &said); err != nil {
		return err
	}
	err := s.cfg.Hub.Refresh(c.UserContext(), said.Target, realtime.RefreshOptions{ExpiresAt: said.ExpiresAt, Expired: said.Expired})
	if err != nil {
		return err //nolint:wrapcheck // mapped by problemOf
	}
	return c.SendStatus(http.StatusNoContent)
}

// commandProblem is for commands that do not say whom they mean, or contradict themselves.
func commandProblem(err error) *Problem {
	if !errors.Is(err, realtime.ErrCommand) {
		return nil
	}
	_, detail, _ := strings.Cut(err.Error(), realtime.ErrCommand.Error()+": ")
	return impossible(detail)
}
