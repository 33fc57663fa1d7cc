package main

import (
	"context"
	"sort"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func playLeases(ctx context.Context, c *clientv3.Client, r *record) error {
	granted, err := c.Grant(ctx, 120)
	if err != nil {
		return err
	}
	id := granted.ID
	r.lease(id, "LEASE")
	r.keep("grant", granted, err)
	for _, ttl := range []int64{0, -1, 9_000_000_001} {
		answer, err := c.Grant(ctx, ttl)
		if err == nil {
			// Shorter than the server allows: what it made of it depends on its election time.
			r.note("grant", ttl, "becomes", answer.TTL)
			must(c.Revoke(ctx, answer.ID))
			continue
		}
		r.keep("grant", ttl, err)
	}
	for _, key := range []string{"l/b", "l/a"} {
		answer, err := c.Put(ctx, key, "v", clientv3.WithLease(id))
		r.keep("attach "+key, answer, err)
	}
	left := func(what string, id clientv3.LeaseID, options ...clientv3.LeaseOption) {
		answer, err := c.TimeToLive(ctx, id, options...)
		if err == nil {
			// A second or two may pass before the question.
			if answer.TTL > 0 && answer.TTL >= answer.GrantedTTL-5 {
				answer.TTL = answer.GrantedTTL
			}
			sort.Slice(answer.Keys, func(i, j int) bool { return string(answer.Keys[i]) < string(answer.Keys[j]) })
		}
		r.keep("time to live "+what, answer, err)
	}
	left("with keys", id, clientv3.WithAttachedKeys())
	left("without", id)
	left("of nothing", 4711)
	kept, err := c.KeepAliveOnce(ctx, id)
	r.keep("keep alive once", kept, err)
	kept, err = c.KeepAliveOnce(ctx, 4711)
	r.keep("keep nothing alive", kept, err)
	leases, err := c.Leases(ctx)
	r.keep("leases", leases, err)
	detached, err := c.Put(ctx, "l/b", "v")
	r.keep("detach", detached, err)
	gone, err := c.Revoke(ctx, id)
	r.keep("revoke", gone, err)
	gone, err = c.Revoke(ctx, id)
	r.keep("revoke again", gone, err)
	answer, err := c.Get(ctx, "l/", clientv3.WithPrefix())
	r.keep("what the lease left", answer, err)
	left("of the revoked", id)
	if err := playKeepAlive(ctx, c, r); err != nil {
		return err
	}
	return playExpiry(ctx, c, r)
}

// The library renews in the background until the lease is gone, and then says so.
func playKeepAlive(ctx context.Context, c *clientv3.Client, r *record) error {
	granted := must(c.Grant(ctx, 6))
	r.lease(granted.ID, "RENEWED")
	channel, err := c.KeepAlive(ctx, granted.ID)
	if err != nil {
		return err
	}
	r.keep("keep alive", <-channel, nil)
	gone, err := c.Revoke(ctx, granted.ID)
	r.keep("revoke the renewed", gone, err)
	for range channel {
		// The client may have been answered once more before the lease went.
	}
	r.note("keeping alive has ended")
	return nil
}

// A lease nobody renews takes its keys along, in one revision.
func playExpiry(ctx context.Context, c *clientv3.Client, r *record) error {
	granted := must(c.Grant(ctx, 1))
	r.lease(granted.ID, "SHORT")
	events := c.Watch(ctx, "x/", clientv3.WithPrefix(), clientv3.WithPrevKV())
	must(c.Txn(ctx).Then(
		clientv3.OpPut("x/a", "1", clientv3.WithLease(granted.ID)),
		clientv3.OpPut("x/b", "1", clientv3.WithLease(granted.ID))).Commit())
	receive(r, "attached", events, 2)
	receive(r, "expired", events, 2)
	answer, err := c.TimeToLive(ctx, granted.ID)
	r.keep("time to live of the expired", answer, err)
	return nil
}
