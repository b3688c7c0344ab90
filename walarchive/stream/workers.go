package stream

import (
	"context"
	"time"
)

// startWorkers starts who makes durable, who tells the server, and who archives.
func (x *run) startWorkers(ctx context.Context) {
	x.quit = make(chan struct{})
	x.workers.Go(x.syncAll)
	x.workers.Go(x.reportAll)
	if x.cfg.Archive != nil {
		x.up = newUploader(x.Receiver, x.st)
		go x.up.run(ctx)
	}
}

// syncAll makes durable what comes, until quit; and what is there then.
func (x *run) syncAll() {
	defer x.st.stop()
	var tick <-chan time.Time
	if !x.cfg.Synchronous {
		ticker := time.NewTicker(x.cfg.FlushEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	for last := false; !last; {
		select {
		case <-x.quit:
			last = true
		case <-x.st.wake:
		case <-tick:
		}
		if err := x.syncOnce(); err != nil {
			x.syncFail = err
			x.cancel(err)
			return
		}
	}
}

func (x *run) syncOnce() error {
	before := x.st.durable()
	after, err := x.st.sync()
	if err != nil {
		return err
	}
	if after == before {
		return nil
	}
	x.update(func(s *Status) { s.Flushed = after.lsn })
	if x.up != nil {
		x.up.kick()
	}
	_ = x.report() // who receives notices a broken connection
	return nil
}

// reportAll tells the server from time to time where we are, until quit.
func (x *run) reportAll() {
	every := time.NewTicker(min(x.cfg.StatusEvery, x.cfg.ServerTimeout/4))
	defer every.Stop()
	for {
		select {
		case <-x.quit:
			return
		case <-every.C:
			_ = x.report() // who receives notices a broken connection
		}
	}
}

// finish ends the workers. If all that was wanted is there, it waits until that is archived, too.
func (x *run) finish(ctx context.Context, complete bool) error {
	if x.st == nil {
		return nil
	}
	defer x.st.close()
	if x.quit == nil {
		return nil
	}
	close(x.quit)
	x.workers.Wait()
	if x.up == nil {
		return x.syncFail
	}
	if !complete || x.syncFail != nil {
		x.cancel(nil)
	}
	x.up.finish()
	if x.syncFail != nil || !complete {
		return x.syncFail
	}
	return context.Cause(ctx)
}
