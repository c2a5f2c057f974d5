// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/quickstart"
)

const (
	// stormEnv is how many clients there are in TestRealStorm.
	stormEnv = "XMPPEXT_STORM_REAL"

	// entrance is how many of them log in at once for the first time, so that it is no
	// storm in itself.
	entrance = 64

	// stormHost is on loopback, and not where the connections of clients come from: the
	// system will not give the port of a server that is away to one of them.
	stormHost = "127.0.0.2"
)

// TestRealStorm kills the server of many clients, and starts it again a moment later.
// They are connected by TLS, and the server is another process. Usually they are few, and
// their waits short. With XMPPEXT_STORM_REAL they are that many, with the waits that they
// have by default; both processes must be allowed as many open files, and the race
// detector does not bear more than some thousand:
//
//	XMPPEXT_STORM_REAL=10000 go test -run TestRealStorm -v ./quickstart
func TestRealStorm(t *testing.T) {
	clients, wait, longest, down := 200, 3*time.Second, 6*time.Second, 250*time.Millisecond
	if n := os.Getenv(stormEnv); n != "" {
		var err error
		clients, err = strconv.Atoi(n)
		require.NoError(t, err, stormEnv)
		require.Positive(t, clients, stormEnv)
		wait, longest, down = quickstart.DefaultMinWait, quickstart.DefaultMaxWait, 3*time.Second
	}
	if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", stormHost+":0"); err != nil {
		t.Skipf("this system cannot listen on %s: %v", stormHost, err)
	} else {
		require.NoError(t, l.Close())
	}
	dir := newEstate(t, pki())
	empty := measure()
	server := newMortal(t, dir, stormHost+":0")
	s := newFlock(t, server.address, wait, longest)
	s.enter(clients)
	before, serverBefore := measure(), server.resources()
	assert.EqualValues(t, clients, serverBefore.Sessions)
	for _, l := range s.logins() {
		assert.Equal(t, auth.ScramSHA256Plus, l.report.Mechanism)
	}

	dials := len(s.dialled())
	killed := time.Now()
	firstCPU := server.kill()
	timer := time.NewTimer(down)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
	server = newMortal(t, dir, server.address)
	away := time.Since(killed)
	s.await(2*clients, max(8*wait, 2*time.Minute)) // Nobody is so unlucky as to be refused three times.
	after, serverAfter := measure(), server.resources()

	var last, slowest time.Duration
	tokens, resumed, held, once := 0, 0, 0, 0
	back := s.logins()[clients:]
	who := make(map[string]int)
	for _, l := range back {
		last, slowest = max(last, l.at.Sub(killed)), max(slowest, l.report.Total)
		who[l.report.Account.String()]++
		tokens += countIf(strings.HasPrefix(l.report.Mechanism, "HT-"))
		resumed += countIf(l.report.Resumed)
		held += countIf(l.report.Held)
		once += countIf(l.report.Attempts == 1)
	}
	assert.Len(t, who, clients, "all come back")
	assert.Len(t, back, clients, "and stay")
	assert.Equal(t, []int{clients, clients, clients}, []int{tokens, held, once}, "by token, as planned, on one connection")
	assert.GreaterOrEqual(t, resumed, clients*9/10, "with the sessions of TLS that they had")

	tries := s.dialled()[dials:]
	failed := 0
	var at, due []time.Duration
	for _, try := range tries {
		at = append(at, try.at.Sub(killed))
		failed += countIf(try.err != nil)
	}
	for _, d := range s.planned() {
		due = append(due, d.Sub(killed))
	}
	perSecond, most := seconds(at)
	_, mostDue := seconds(due)
	share := float64(clients) / wait.Seconds()
	// Those that come too early are drawn again, and chance comes on top.
	// What a busy machine makes of it is in the log.
	assert.LessOrEqual(t, float64(mostDue), 1.5*share+6*math.Sqrt(share), "there are no waves")
	assert.GreaterOrEqual(t, len(tries), len(due), "a connection for each wait")
	// Who comes back while the server dies may find it there, and try again at once.
	assert.LessOrEqual(t, len(tries), len(due)+clients/100, "and hardly any other")
	assert.GreaterOrEqual(t, len(tries)-failed, clients)
	assert.LessOrEqual(t, float64(failed), 1.5*float64(clients)*away.Seconds()/wait.Seconds()+6*math.Sqrt(float64(clients)), "few come too early")

	assert.EqualValues(t, clients, serverAfter.Sessions)
	assert.InDelta(t, before.Goroutines, after.Goroutines, 20, "goroutines of the clients")
	assert.InDelta(t, serverBefore.Goroutines, serverAfter.Goroutines, 20, "goroutines of the server")
	assert.Less(t, after.Memory, before.Memory+before.Memory/4, "memory of the clients")
	assert.Less(t, serverAfter.Memory, serverBefore.Memory+serverBefore.Memory/4, "memory of the server")

	s.leave()
	serverEmpty := server.left()
	assert.Zero(t, serverEmpty.Sessions)
	secondCPU := server.kill()
	left := measure()
	for deadline := time.Now().Add(5 * time.Second); left.Goroutines > empty.Goroutines && time.Now().Before(deadline); {
		left = measure() // Those that have just ended get the time to go.
	}
	assert.LessOrEqual(t, left.Goroutines, empty.Goroutines, "no goroutine is left")

	t.Logf("%d clients, waits below %v, server away for %v", clients, wait, away.Round(time.Millisecond))
	t.Logf("connections: %d, %d of them refused; at most %d in a second, %d were due, the even share is %.0f; all back after %v, longest login %v",
		len(tries), failed, most, mostDue, share, last.Round(time.Millisecond), slowest.Round(time.Millisecond))
	t.Logf("logins: %d by token, %d with a session of TLS, %d as planned", tokens, resumed, held)
	t.Logf("server: %v of CPU for the first logins (%v each), %v for the later ones (%v each)",
		firstCPU.Round(time.Millisecond), firstCPU/time.Duration(clients), secondCPU.Round(time.Millisecond), secondCPU/time.Duration(clients))
	for _, r := range []struct {
		what string
		is   resources
	}{
		{"clients, before they are there", empty}, {"clients, before the storm", before}, {"clients, after it", after}, {"clients, when they have left", left},
		{"server, before the storm", serverBefore}, {"server, after it", serverAfter}, {"server, when they have left", serverEmpty},
	} {
		t.Logf("%-31s %6d goroutines %7.1f MB", r.what, r.is.Goroutines, float64(r.is.Memory)/1e6)
	}
	t.Log("connections by time since the server was killed:\n" + histogram(perSecond, int(last/time.Second)/25+1))
}

// seconds returns how many there were in each second, and the most.
func seconds(all []time.Duration) (perSecond map[int]int, most int) {
	perSecond = make(map[int]int)
	for _, d := range all {
		i := int(d / time.Second)
		perSecond[i]++
		most = max(most, perSecond[i])
	}
	return perSecond, most
}

func countIf(is bool) int {
	if is {
		return 1
	}
	return 0
}

// A flock is many clients in one process, with one Dialer.
type flock struct {
	t      *testing.T
	dialer *quickstart.Dialer
	waits  [2]time.Duration // MinWait and MaxWait
	cancel context.CancelFunc
	done   sync.WaitGroup
	doors  chan struct{}
	news   chan struct{} // there are more logins, or one has failed

	mu    sync.Mutex
	dials []dial
	due   []time.Time // when clients wanted to dial again
	in    []entered
	lost  []error // of Run
}

// dial is one try to connect.
type dial struct {
	at  time.Time
	err error
}

// entered is one session.
type entered struct {
	at     time.Time
	report quickstart.Report
}

// newFlock returns one without clients.
func newFlock(t *testing.T, address string, minWait, maxWait time.Duration) *flock {
	s := &flock{t: t, waits: [2]time.Duration{minWait, maxWait}, doors: make(chan struct{}, entrance), news: make(chan struct{}, 1)}
	s.dialer = &quickstart.Dialer{
		Cache: &quickstart.MemoryCache{MaxValues: math.MaxInt, MaxBytes: math.MaxInt},
		TLS:   &tls.Config{RootCAs: pki().pool}, Address: address, Security: quickstart.DirectTLS,
		AnswerTimeout: quickstart.DefaultTimeout, // A machine that is busy is no wrong guess.
		NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			at := time.Now()
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.dials = append(s.dials, dial{at, err})
			return conn, err
		},
	}
	t.Cleanup(s.leave)
	return s
}

// enter has clients log in, and waits until they have.
func (s *flock) enter(clients int) {
	s.t.Helper()
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	for i := range clients {
		s.doors <- struct{}{}
		first := sync.OnceFunc(func() { <-s.doors })
		k := &quickstart.Keeper{
			Dialer: s.dialer, MinWait: s.waits[0], MaxWait: s.waits[1],
			Account:     jid.MustParse(fmt.Sprintf("client%d@%s", i, juliet.Domainpart())),
			Credentials: quickstart.Password(password),
			Handle: func(_ context.Context, session *quickstart.Session) error {
				first()
				s.mu.Lock()
				s.in = append(s.in, entered{time.Now(), session.Report})
				s.mu.Unlock()
				s.tell()
				return session.Serve(nil)
			},
			Observe: func(_ error, wait time.Duration) {
				first()
				s.mu.Lock()
				defer s.mu.Unlock()
				s.due = append(s.due, time.Now().Add(wait))
			},
		}
		s.done.Go(func() {
			defer first()
			err := k.Run(ctx)
			if ctx.Err() == nil {
				s.mu.Lock()
				s.lost = append(s.lost, err)
				s.mu.Unlock()
				s.tell()
			}
		})
	}
	s.await(clients, time.Minute)
}

func (s *flock) tell() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// await waits until there were so many logins.
func (s *flock) await(logins int, limit time.Duration) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	for {
		s.mu.Lock()
		in, lost := len(s.in), slices.Clone(s.lost)
		s.mu.Unlock()
		require.Empty(s.t, lost, "no Keeper gives up")
		if in >= logins {
			return
		}
		select {
		case <-s.news:
		case <-ctx.Done():
			require.FailNow(s.t, "not all have logged in", "%d of %d", in, logins)
		}
	}
}

func (s *flock) logins() []entered {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.in)
}

func (s *flock) dialled() []dial {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.dials)
}

func (s *flock) planned() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.due)
}

// leave ends all sessions.
func (s *flock) leave() {
	if s.cancel != nil {
		s.cancel()
	}
	s.done.Wait()
}
