package lookahead

import (
	"sync"
	"time"
)

// watch ends the helper when nobody has asked for a while.
type watch struct {
	idle time.Duration
	end  func()

	mu     sync.Mutex
	inside int
	ending bool
	timer  *time.Timer
}

// newWatch returns a watch that calls end after idle without a request; zero is never.
func newWatch(idle time.Duration, end func()) *watch {
	w := &watch{idle: idle, end: end}
	if idle > 0 {
		w.timer = time.AfterFunc(idle, w.ring)
	}
	return w
}

// enter reports whether a request may begin; leave must be called when it has ended.
func (w *watch) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending {
		return false
	}
	w.inside++
	if w.timer != nil {
		w.timer.Stop()
	}
	return true
}

func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inside--
	if w.inside == 0 && w.timer != nil {
		w.timer.Reset(w.idle)
	}
}

func (w *watch) ring() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inside == 0 { // nobody came while the timer fired
		w.ending = true
		w.end()
	}
}
