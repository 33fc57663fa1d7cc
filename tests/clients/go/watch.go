package main

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// receive prints what a watcher is told until it has told so many events.
func receive(r *record, what string, channel clientv3.WatchChan, events int) {
	for events > 0 {
		response, open := <-channel
		if !open {
			r.note("watch "+what, "ended")
			return
		}
		events -= len(response.Events)
		tell(r, what, response)
		if response.Canceled {
			return
		}
	}
}

func tell(r *record, what string, response clientv3.WatchResponse) {
	r.note("watch "+what, fmt.Sprintf("header{%v} compact %d canceled %t created %t progress %t error %v",
		&response.Header, response.CompactRevision, response.Canceled, response.Created,
		response.IsProgressNotify(), response.Err()))
	for _, event := range response.Events {
		r.note("watch "+what, "event", fmt.Sprintf("create %t modify %t", event.IsCreate(), event.IsModify()),
			event.Type, "kv", event.Kv, "prev", event.PrevKv)
	}
}

func playWatches(ctx context.Context, c *clientv3.Client, r *record) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := playHistory(ctx, c, r)
	created := c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithCreatedNotify(), clientv3.WithPrevKV())
	tell(r, "created", <-created)
	puts := c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithFilterDelete(), clientv3.WithCreatedNotify())
	tell(r, "created without deletes", <-puts)
	deletes := c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithFilterPut(), clientv3.WithCreatedNotify())
	tell(r, "created without puts", <-deletes)
	must(c.Put(ctx, "w/live", "1"))
	receive(r, "live", created, 1)
	receive(r, "puts", puts, 1)
	must(c.Put(ctx, "w/live", "2"))
	receive(r, "live", created, 1)
	receive(r, "puts", puts, 1)
	must(c.Delete(ctx, "w/live"))
	receive(r, "live", created, 1)
	receive(r, "deletes", deletes, 1)
	must(c.Txn(ctx).Then(clientv3.OpPut("w/x", "1"), clientv3.OpPut("w/y", "1"), clientv3.OpDelete("w/a")).Commit())
	receive(r, "transaction", created, 3)
	playCancellation(ctx, c, r)
	playProgress(ctx, c, r)
	return playCompacted(ctx, c, r, start)
}

// What is stored already arrives in order, from the revision asked for.
func playHistory(ctx context.Context, c *clientv3.Client, r *record) int64 {
	start := must(c.Put(ctx, "w/a", "1")).Header.Revision
	must(c.Put(ctx, "w/b", "1"))
	must(c.Put(ctx, "w/a", "2"))
	must(c.Delete(ctx, "w/b"))
	receive(r, "history", c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithRev(start)), 4)
	receive(r, "history with what was", c.Watch(ctx, "w/", clientv3.WithPrefix(),
		clientv3.WithRev(start+1), clientv3.WithPrevKV()), 3)
	receive(r, "history of a key", c.Watch(ctx, "w/a", clientv3.WithRev(start)), 2)
	receive(r, "history from key", c.Watch(ctx, "w/b", clientv3.WithFromKey(), clientv3.WithRev(start)), 2)
	receive(r, "history in fragments", c.Watch(ctx, "w/", clientv3.WithPrefix(),
		clientv3.WithRev(start), clientv3.WithFragment()), 4)
	future := c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithRev(start+5), clientv3.WithCreatedNotify())
	tell(r, "of the future", <-future)
	must(c.Put(ctx, "w/c", "too early"))
	must(c.Put(ctx, "w/c", "in time"))
	receive(r, "of the future", future, 1)
	return start
}

// A watcher that is given up takes no other along.
func playCancellation(ctx context.Context, c *clientv3.Client, r *record) {
	given, giveUp := context.WithCancel(ctx)
	first := c.Watch(given, "w/cancel", clientv3.WithCreatedNotify())
	second := c.Watch(ctx, "w/cancel", clientv3.WithCreatedNotify())
	tell(r, "first", <-first)
	tell(r, "second", <-second)
	giveUp()
	for response := range first {
		tell(r, "given up", response)
	}
	must(c.Put(ctx, "w/cancel", "1"))
	receive(r, "second", second, 1)
	wrong := c.Watch(ctx, "w/b", clientv3.WithRange("w/a"))
	receive(r, "wrong range", wrong, 1)
}

// Progress asked for is told with the revision that is reached. A stream of its own: progress goes
// to every watcher of a stream.
func playProgress(ctx context.Context, c *clientv3.Client, r *record) {
	own, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	channel := c.Watch(own, "w/quiet", clientv3.WithCreatedNotify())
	tell(r, "quiet", <-channel)
	must(c.Put(ctx, "w/elsewhere", "1"))
	if err := c.RequestProgress(own); err != nil {
		r.keep("request progress", nil, err)
		return
	}
	tell(r, "progress", <-channel)
	must(c.Put(ctx, "w/quiet", "1"))
	receive(r, "quiet", channel, 1)
}

func playCompacted(ctx context.Context, c *clientv3.Client, r *record, start int64) error {
	answer, err := c.Compact(ctx, start+2, clientv3.WithCompactPhysical())
	r.keep("compact", answer, err)
	receive(r, "compacted", c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithRev(start)), 1)
	receive(r, "just not compacted", c.Watch(ctx, "w/", clientv3.WithPrefix(), clientv3.WithRev(start+2)), 2)
	return nil
}
