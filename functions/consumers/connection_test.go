package consumers

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-dev/millrace/functions/runtimes"
)

func TestEventsOfAConnectionRunOneAfterTheOther(t *testing.T) {
	t.Parallel()
	r := &recorder{handlers: all()}
	c := r.begin(t)
	want := []string{"connect"}
	for i := range 5000 { // far more than may wait
		require.True(t, c.Receive(false, fmt.Append(nil, i)))
		want = append(want, fmt.Sprint("receive ", i))
	}
	c.End(1000, "")
	require.Equal(t, append(want, "disconnect 1000"), r.log())
	require.Equal(t, 1, r.most)
	require.True(t, r.left, "the channels are left")
}

func TestOthersGoOnMeanwhile(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	slow := &recorder{handlers: all(), act: func(*Connection, Event) error { <-hold; return nil }}
	held := slow.begin(t)
	quick := &recorder{handlers: all()}
	c := quick.begin(t)
	c.End(1000, "")
	require.Equal(t, []string{"connect", "disconnect 1000"}, quick.log())
	close(hold)
	held.End(1000, "")
}

func TestWhoSendsTooMuchWaitsAndIsCut(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string]int{"many": 1, "large": MaxWaitingBytes / 4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				hold := make(chan struct{})
				r := &recorder{handlers: all(), act: func(_ *Connection, e Event) error {
					if e.Handler == runtimes.HandleReceive {
						<-hold
					}
					return nil
				}}
				c := r.begin(t)
				var mu sync.Mutex
				taken, began := 0, time.Now()
				var reader sync.WaitGroup
				reader.Go(func() {
					for c.Receive(false, make([]byte, frame)) {
						mu.Lock()
						taken++
						mu.Unlock()
					}
				})
				synctest.Wait()
				mu.Lock()
				require.Equal(t, min(MaxWaiting, MaxWaitingBytes/frame)+1, taken, "one is being handled")
				mu.Unlock()
				reader.Wait()
				require.Equal(t, Patience, time.Since(began))
				require.Equal(t, []string{"1013 too many messages wait"}, r.closes)
				close(hold)
				c.End(1013, "")
				require.Equal(t, "disconnect 1013", r.log()[len(r.log())-1])
			})
		})
	}
}

func TestTheReaderGoesOnWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{handlers: all(), act: func(*Connection, Event) error { time.Sleep(time.Second); return nil }}
		c := r.begin(t)
		for range 3 * MaxWaiting {
			require.True(t, c.Receive(false, []byte("x")))
		}
		c.End(1000, "")
		require.Len(t, r.log(), 3*MaxWaiting+2)
	})
}

// TestDisconnectIsCalledOnce goes through the ways in which a connection ends.
func TestDisconnectIsCalledOnce(t *testing.T) {
	t.Parallel()
	inReceive := func(act func(c *Connection) error) func(*Connection, Event) error {
		return func(c *Connection, e Event) error {
			if e.Handler == runtimes.HandleReceive {
				return act(c)
			}
			return nil
		}
	}
	inConnect := func(act func(c *Connection) error) func(*Connection, Event) error {
		return func(c *Connection, e Event) error {
			if e.Handler == runtimes.HandleConnect {
				return act(c)
			}
			return nil
		}
	}
	for name, tc := range map[string]struct {
		act    func(*Connection, Event) error
		during func(c *Connection)
		events []string
		closes []string
	}{
		"the peer closes": {events: []string{"connect", "receive a", "receive b", "disconnect 1000"}},
		"a handler closes": {
			act:    inReceive(func(c *Connection) error { return c.Close(4000, "enough") }),
			events: []string{"connect", "receive a", "disconnect 1000"}, closes: []string{"4000 enough"},
		},
		"a handler throws": {
			act:    inReceive(func(*Connection) error { return errThrown }),
			events: []string{"connect", "receive a", "disconnect 1000"}, closes: []string{"1011 the handler failed"},
		},
		"the function is gone": {
			act:    inReceive(func(*Connection) error { return ErrGone }),
			events: []string{"connect", "receive a", "disconnect 1000"}, closes: []string{"1012 the function is gone"},
		},
		"connect throws": {
			act:    inConnect(func(*Connection) error { return errThrown }),
			events: []string{"connect"}, closes: []string{"1011 the handler failed"},
		},
		"connect closes": {
			act:    inConnect(func(c *Connection) error { return c.Close(4401, "who are you?") }),
			events: []string{"connect"}, closes: []string{"4401 who are you?"},
		},
		"the credentials end": {
			during: func(c *Connection) { c.Disconnect(3005, "expired") },
			events: []string{"connect", "disconnect 1000"}, closes: []string{"3005 expired"},
		},
		"the instance is drained": {
			during: func(c *Connection) { c.Disconnect(CodeGoingAway, "shutdown") },
			events: []string{"connect", "receive a", "receive b", "disconnect 1000"}, closes: []string{"1001 shutdown"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{handlers: all(), act: func(c *Connection, e Event) error {
					time.Sleep(time.Second) // what follows waits
					if tc.act != nil {
						return tc.act(c, e)
					}
					return nil
				}}
				c := r.begin(t)
				c.Receive(false, []byte("a"))
				c.Receive(false, []byte("b"))
				if tc.during != nil {
					tc.during(c)
					require.False(t, c.Receive(false, []byte("late")))
				}
				time.Sleep(time.Hour)
				var ends sync.WaitGroup
				for range 3 {
					ends.Go(func() { c.End(1000, "") })
				}
				ends.Wait()
				require.Equal(t, tc.events, r.log())
				require.Equal(t, tc.closes, r.closes)
			})
		})
	}
}

func TestWithoutAHandlerNothingIsCalled(t *testing.T) {
	t.Parallel()
	r := &recorder{handlers: []runtimes.Handler{runtimes.HandleDisconnect}}
	c := r.begin(t)
	require.True(t, c.Receive(false, []byte("nobody hears")))
	c.Deliver("room", 7, false, []byte(`{"a":1}`))
	c.Deliver("room", 8, false, []byte{0xff})
	c.End(1006, "")
	require.Equal(t, []string{"disconnect 1006"}, r.log(), "a connection without connect is open")
	require.Equal(t, []string{`false {"a":1}`, "true \xff"}, r.sent, "messages go to the peer as they are")
}

func TestMessagesGoToTheirHandler(t *testing.T) {
	t.Parallel()
	r := &recorder{handlers: all()}
	c := r.begin(t)
	c.Deliver("room", 7, false, []byte(`1`))
	c.End(1000, "")
	require.Equal(t, []string{"connect", "message room1", "disconnect 1000"}, r.log())
	require.Empty(t, r.sent)
}

func TestStateIsWhatTheLastHandlerLeft(t *testing.T) {
	t.Parallel()
	var seen []string
	r := &recorder{handlers: all(), act: func(c *Connection, e Event) error {
		seen = append(seen, string(c.State()))
		if e.Handler == runtimes.HandleReceive {
			return errThrown
		}
		return nil
	}}
	c := r.begin(t)
	c.Receive(false, nil)
	c.End(1000, "")
	require.Equal(t, []string{`{}`, `{"events":1}`, `{"events":1}`}, seen, "one that threw leaves nothing")
}

func TestAnIdleConnectionHasNoGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{handlers: all()}
		c := r.begin(t)
		c.Receive(false, []byte("a"))
		synctest.Wait()
		require.False(t, c.running)
		require.Nil(t, c.queue)
		c.End(1000, "")
	})
}

func TestStoppedHandlersEndConnections(t *testing.T) {
	t.Parallel()
	r := &recorder{handlers: all()}
	c, err := New(About{}, r, recorderPeer{r}, recorderChannels{r}, func(func(context.Context)) bool { return false })
	require.NoError(t, err)
	c.Begin()
	require.False(t, c.Receive(false, nil))
	c.End(1001, "")
	require.Empty(t, r.log())
}

func TestCloseCodes(t *testing.T) {
	t.Parallel()
	for _, code := range []int{1000, 1001, 1008, 1011, 3000, 4999} {
		c := (&recorder{}).begin(t)
		require.NoError(t, c.Close(code, ""), code)
		c.End(code, "")
	}
	c := (&recorder{}).begin(t)
	for _, code := range []int{-1, 0, 999, 1004, 1005, 1006, 1015, 2000, 5000} {
		require.ErrorContains(t, c.Close(code, ""), "1000, or 3000 to 4999", code)
	}
	require.ErrorContains(t, c.Close(1000, string(make([]byte, 124))), "123 bytes")
	require.ErrorContains(t, c.Send(false, []byte{0xff}), "UTF-8")
	require.NoError(t, c.Send(true, []byte{0xff}))
	c.End(1000, "")
}
