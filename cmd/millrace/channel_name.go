package main

import (
	"errors"
	"fmt"
	"strings"
)

// channelName is a channel as typed: the whole name of one, since only tokens and keys are granted patterns.
type channelName string

// UnmarshalText lets kong report what cannot be meant as a usage error.
func (c *channelName) UnmarshalText(text []byte) error {
	name := string(text)
	switch {
	case name == "":
		return errors.New("the name of the channel is empty")
	case strings.HasSuffix(name, "*"):
		return fmt.Errorf("%q is a pattern, which only keys and tokens take: name each channel in full; `%s` shows those with subscribers",
			name, strings.TrimSpace("millrace channels list "+strings.TrimRight(name, "*")))
	}
	*c = channelName(name)
	return nil
}

// namesOf are the names as the client takes them.
func namesOf(channels []channelName) []string {
	names := make([]string, len(channels))
	for i, channel := range channels {
		names[i] = string(channel)
	}
	return names
}
