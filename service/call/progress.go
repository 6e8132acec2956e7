package call

import (
	"sync"
	"time"
)

// Progress is how far the delivery of a request has come. It is safe for concurrent
// use, because a delivery can outlast its call.
type Progress struct {
	mu       sync.Mutex
	delivery Delivery  // without the current wait
	waiting  time.Time // when that began; zero if there is none
}

// Waiting records that the request begins to wait in a queue.
func (p *Progress) Waiting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = time.Now()
}

// Waited records that a wait in a queue has ended after that time.
func (p *Progress) Waited(wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivery.Queued += wait
	p.waiting = time.Time{}
}

// Attempting records an attempt of the request, or of a look-up that the request needs.
func (p *Progress) Attempting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivery.Attempts++
}

// Replay records that the request gets the first answer for its request ID.
func (p *Progress) Replay() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivery.Replayed = true
}

// Delivery describes the delivery of a request.
type Delivery struct {
	Attempts int
	// Queued is how long the request has waited in queues, the current wait included.
	Queued time.Duration
	// Replayed is set if the request got the first answer for its request ID.
	Replayed bool
}

// Delivery returns the current state. That of nil is zero.
func (p *Progress) Delivery() Delivery {
	if p == nil {
		return Delivery{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.delivery
	if !p.waiting.IsZero() {
		now.Queued += time.Since(p.waiting)
	}
	return now
}
