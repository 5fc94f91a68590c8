package jobs

import (
	"encoding/json"
	"time"
)

// The stored forms of the rules: times are whole milliseconds, as in all of a function's stored configuration.
type (
	uniqueJSON struct {
		Key     string `json:"key,omitempty"`
		Period  int64  `json:"period_ms,omitempty"`
		Replace bool   `json:"replace,omitempty"`
	}
	debounceJSON struct {
		Key    string `json:"key,omitempty"`
		Period int64  `json:"period_ms"`
		Max    int64  `json:"max_ms,omitempty"`
	}
	throttleJSON struct {
		Key    string `json:"key,omitempty"`
		Period int64  `json:"period_ms"`
		Limit  int    `json:"limit"`
		Drop   bool   `json:"drop,omitempty"`
	}
)

func ofMilliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// MarshalJSON writes the stored form, with period_ms.
func (u *Unique) MarshalJSON() ([]byte, error) {
	return json.Marshal(uniqueJSON{Key: u.Key, Period: u.Period.Milliseconds(), Replace: u.Replace})
}

// UnmarshalJSON reads the stored form. ParseUnique reads what users write.
func (u *Unique) UnmarshalJSON(data []byte) error {
	var stored uniqueJSON
	err := json.Unmarshal(data, &stored)
	*u = Unique{Key: stored.Key, Period: ofMilliseconds(stored.Period), Replace: stored.Replace}

	return err
}

// MarshalJSON writes the stored form, with period_ms and max_ms.
func (d *Debounce) MarshalJSON() ([]byte, error) {
	return json.Marshal(debounceJSON{Key: d.Key, Period: d.Period.Milliseconds(), Max: d.Max.Milliseconds()})
}

// UnmarshalJSON reads the stored form. ParseDebounce reads what users write.
func (d *Debounce) UnmarshalJSON(data []byte) error {
	var stored debounceJSON
	err := json.Unmarshal(data, &stored)
	*d = Debounce{Key: stored.Key, Period: ofMilliseconds(stored.Period), Max: ofMilliseconds(stored.Max)}

	return err
}

// MarshalJSON writes the stored form, with period_ms.
func (t *Throttle) MarshalJSON() ([]byte, error) {
	return json.Marshal(throttleJSON{Key: t.Key, Limit: t.Limit, Period: t.Period.Milliseconds(), Drop: t.Drop})
}

// UnmarshalJSON reads the stored form. ParseThrottle reads what users write.
func (t *Throttle) UnmarshalJSON(data []byte) error {
	var stored throttleJSON
	err := json.Unmarshal(data, &stored)
	*t = Throttle{Key: stored.Key, Limit: stored.Limit, Period: ofMilliseconds(stored.Period), Drop: stored.Drop}

	return err
}
