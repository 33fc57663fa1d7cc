package main

import (
	"context"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/client/v3/leasing"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
)

// What programs build from keys, leases and watches with the library's own recipes.
func playRecipes(ctx context.Context, c *clientv3.Client, r *record) error {
	for _, play := range []func(context.Context, *clientv3.Client, *record) error{
		playMutex, playElection, playMemory, playNamespace, playLeasing, playMirror,
	} {
		if err := play(ctx, c, r); err != nil {
			return err
		}
	}
	return nil
}

// Several sessions add to one number, each under the lock: no addition may be lost.
func playMutex(ctx context.Context, c *clientv3.Client, r *record) error {
	var all sync.WaitGroup
	var inside, most, sum int
	failures := make(chan error, 8)
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			session, err := concurrency.NewSession(c, concurrency.WithTTL(30))
			if err != nil {
				failures <- err
				return
			}
			defer session.Close()
			mutex := concurrency.NewMutex(session, "mutex")
			if err := mutex.Lock(ctx); err != nil {
				failures <- err
				return
			}
			inside++
			most = max(most, inside)
			sum++
			inside--
			failures <- mutex.Unlock(ctx)
		}()
	}
	all.Wait()
	for range 8 {
		if err := <-failures; err != nil {
			return err
		}
	}
	r.note("mutex", "together", most, "sum", sum)
	session := must(concurrency.NewSession(c))
	defer session.Close()
	other := must(concurrency.NewSession(c))
	defer other.Close()
	first, second := concurrency.NewMutex(session, "try"), concurrency.NewMutex(other, "try")
	r.keep("lock", "got it", first.Lock(ctx))
	r.keep("try lock of another", "got it", second.TryLock(ctx))
	r.keep("unlock", "done", first.Unlock(ctx))
	r.keep("try lock again", "got it", second.TryLock(ctx))
	return nil
}

func playElection(ctx context.Context, c *clientv3.Client, r *record) error {
	first := must(concurrency.NewSession(c))
	second := must(concurrency.NewSession(c))
	defer second.Close()
	leader, heir := concurrency.NewElection(first, "election"), concurrency.NewElection(second, "election")
	r.keep("campaign", "won", leader.Campaign(ctx, "first"))
	seen := heir.Observe(ctx)
	r.note("observed", string((<-seen).Kvs[0].Value))
	r.keep("proclaim", "done", leader.Proclaim(ctx, "still first"))
	r.note("observed", string((<-seen).Kvs[0].Value))
	won := make(chan error, 1)
	go func() { won <- heir.Campaign(ctx, "second") }()
	// Closing the session revokes its lease, which ends its leadership.
	if err := first.Close(); err != nil {
		return err
	}
	r.keep("campaign of the heir", "won", <-won)
	answer, err := heir.Leader(ctx)
	if err != nil {
		return err
	}
	r.note("leader", string(answer.Kvs[0].Value))
	return nil
}

// Transactions in memory that are repeated until nobody came between.
func playMemory(ctx context.Context, c *clientv3.Client, r *record) error {
	must(c.Put(ctx, "stm/a", "0"))
	var all sync.WaitGroup
	failures := make(chan error, 8)
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			_, err := concurrency.NewSTM(c, func(s concurrency.STM) error {
				var n int
				if _, err := fmt.Sscan(s.Get("stm/a"), &n); err != nil {
					return err
				}
				s.Put("stm/a", fmt.Sprint(n+1))
				return nil
			})
			failures <- err
		}()
	}
	all.Wait()
	for range 8 {
		if err := <-failures; err != nil {
			return err
		}
	}
	r.note("memory", string(must(c.Get(ctx, "stm/a")).Kvs[0].Value))
	return nil
}

func playNamespace(ctx context.Context, c *clientv3.Client, r *record) error {
	kv := namespace.NewKV(c.KV, "ns/")
	watcher := namespace.NewWatcher(c.Watcher, "ns/")
	events := watcher.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-events
	must(kv.Put(ctx, "k", "v"))
	for response := range events {
		r.note("namespace event", response.Events[0].Kv.Key)
		break
	}
	got := must(kv.Get(ctx, "", clientv3.WithPrefix()))
	outside := must(c.Get(ctx, "ns/", clientv3.WithPrefix()))
	r.note("namespace", string(got.Kvs[0].Key), string(outside.Kvs[0].Key))
	return nil
}

// A client that answers from its own memory while it owns a key.
func playLeasing(ctx context.Context, c *clientv3.Client, r *record) error {
	first, closeFirst, err := leasing.NewKV(c, "leasing/")
	if err != nil {
		return err
	}
	defer closeFirst()
	second, closeSecond, err := leasing.NewKV(c, "leasing/")
	if err != nil {
		return err
	}
	defer closeSecond()
	must(first.Put(ctx, "owned", "1"))
	r.note("leasing", string(must(first.Get(ctx, "owned")).Kvs[0].Value))
	must(second.Put(ctx, "owned", "2"))
	r.note("leasing", string(must(first.Get(ctx, "owned")).Kvs[0].Value))
	return nil
}

// A copy of a prefix: its state and then its changes.
func playMirror(ctx context.Context, c *clientv3.Client, r *record) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	must(c.Put(ctx, "mirror/a", "1"))
	must(c.Put(ctx, "mirror/b", "1"))
	syncer := mirror.NewSyncer(c, "mirror/", 0)
	pages, failures := syncer.SyncBase(ctx)
	for page := range pages {
		for _, kv := range page.Kvs {
			r.note("mirrored", string(kv.Key))
		}
	}
	for err := range failures {
		return err
	}
	updates := syncer.SyncUpdates(ctx)
	must(c.Put(ctx, "mirror/c", "1"))
	r.note("mirrored", string((<-updates).Events[0].Kv.Key))
	return nil
}
