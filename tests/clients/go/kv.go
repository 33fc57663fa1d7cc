package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func playKeys(ctx context.Context, c *clientv3.Client, r *record) error {
	put := func(key, value string, options ...clientv3.OpOption) {
		answer, err := c.Put(ctx, key, value, options...)
		r.keep(fmt.Sprintf("put %q", key), answer, err)
	}
	put("a", "1")
	put("a", "2", clientv3.WithPrevKV())
	put("a", "", clientv3.WithIgnoreValue(), clientv3.WithPrevKV())
	put("a", "3", clientv3.WithIgnoreLease())
	put("missing", "", clientv3.WithIgnoreValue())
	put("missing", "", clientv3.WithIgnoreLease())
	put("missing", "", clientv3.WithLease(4711))
	put("", "no key")
	put("\x00\xff", "\xff\x00")
	put("empty", "")
	remove := func(key string, options ...clientv3.OpOption) {
		answer, err := c.Delete(ctx, key, options...)
		r.keep(fmt.Sprintf("delete %q", key), answer, err)
	}
	remove("missing")
	remove("")
	remove("a", clientv3.WithPrevKV())
	remove("e", clientv3.WithPrefix(), clientv3.WithPrevKV())
	remove("\x00", clientv3.WithFromKey())
	// Many at once: none may be lost, every one gets a revision.
	var all sync.WaitGroup
	failures := make(chan error, 64)
	for i := range 64 {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := c.Put(ctx, fmt.Sprintf("many/%02d", i), "v"); err != nil {
				failures <- err
			}
		}()
	}
	all.Wait()
	close(failures)
	for err := range failures {
		return err
	}
	answer, err := c.Get(ctx, "many/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	r.keep("many", answer, err)
	remove("many/", clientv3.WithPrefix())
	return nil
}

func playRanges(ctx context.Context, c *clientv3.Client, r *record) error {
	for _, pair := range []string{"r/c 1", "r/a 3", "r/b 2", "r/a 4", "s 5"} {
		key, value, _ := strings.Cut(pair, " ")
		must(c.Put(ctx, key, value))
	}
	now := must(c.Get(ctx, "s")).Header.Revision
	prefix := clientv3.WithPrefix()
	for _, ask := range []struct {
		what    string
		key     string
		options []clientv3.OpOption
	}{
		{"one", "r/a", nil},
		{"none", "r/z", nil},
		{"prefix", "r/", []clientv3.OpOption{prefix}},
		{"everything", "", []clientv3.OpOption{prefix, clientv3.WithKeysOnly()}},
		{"from key", "r/b", []clientv3.OpOption{clientv3.WithFromKey()}},
		{"range", "r/a", []clientv3.OpOption{clientv3.WithRange("r/c")}},
		{"backwards", "r/c", []clientv3.OpOption{clientv3.WithRange("r/a")}},
		{"limit", "r/", []clientv3.OpOption{prefix, clientv3.WithLimit(2)}},
		{"count", "r/", []clientv3.OpOption{prefix, clientv3.WithCountOnly()}},
		{"keys only", "r/", []clientv3.OpOption{prefix, clientv3.WithKeysOnly()}},
		{"serializable", "r/a", []clientv3.OpOption{clientv3.WithSerializable()}},
		{"before", "r/a", []clientv3.OpOption{clientv3.WithRev(now - 2)}},
		{"future", "r/a", []clientv3.OpOption{clientv3.WithRev(now + 100)}},
		{"first created", "r/", clientv3.WithFirstCreate()},
		{"last created", "r/", clientv3.WithLastCreate()},
		{"first key", "r/", clientv3.WithFirstKey()},
		{"last key", "r/", clientv3.WithLastKey()},
		{"first changed", "r/", clientv3.WithFirstRev()},
		{"last changed", "r/", clientv3.WithLastRev()},
		{"changed since", "r/", []clientv3.OpOption{prefix, clientv3.WithMinModRev(now - 2)}},
		{"changed until", "r/", []clientv3.OpOption{prefix, clientv3.WithMaxModRev(now - 2)}},
		{"created since", "r/", []clientv3.OpOption{prefix, clientv3.WithMinCreateRev(now - 3)}},
		{"created until", "r/", []clientv3.OpOption{prefix, clientv3.WithMaxCreateRev(now - 3)}},
		{"by value", "r/", []clientv3.OpOption{prefix,
			clientv3.WithSort(clientv3.SortByValue, clientv3.SortDescend)}},
		{"by version", "r/", []clientv3.OpOption{prefix,
			clientv3.WithSort(clientv3.SortByVersion, clientv3.SortAscend)}},
	} {
		answer, err := c.Get(ctx, ask.key, ask.options...)
		r.keep("get "+ask.what, answer, err)
	}
	return nil
}

func playTransactions(ctx context.Context, c *clientv3.Client, r *record) error {
	must(c.Put(ctx, "t/a", "1"))
	commit := func(what string, txn clientv3.Txn) {
		answer, err := txn.Commit()
		r.keep("txn "+what, answer, err)
	}
	compare := clientv3.Compare
	commit("empty", c.Txn(ctx))
	commit("yes", c.Txn(ctx).
		If(compare(clientv3.Value("t/a"), "=", "1"), compare(clientv3.Version("t/a"), ">", 0)).
		Then(clientv3.OpPut("t/a", "2", clientv3.WithPrevKV()), clientv3.OpGet("t/", clientv3.WithPrefix())).
		Else(clientv3.OpDelete("t/a")))
	commit("no", c.Txn(ctx).
		If(compare(clientv3.CreateRevision("t/b"), "!=", 0)).
		Then(clientv3.OpPut("t/a", "3")).
		Else(clientv3.OpGet("t/a", clientv3.WithCountOnly()), clientv3.OpDelete("t/zzz")))
	commit("every key of a prefix", c.Txn(ctx).
		If(compare(clientv3.ModRevision("t/"), "<", 1<<40).WithPrefix()).
		Then(clientv3.OpPut("t/b", "x"), clientv3.OpPut("t/c", "y")))
	commit("lease comparison", c.Txn(ctx).
		If(compare(clientv3.LeaseValue("t/a"), "=", 0)).
		Then(clientv3.OpGet("t/a")))
	commit("nested", c.Txn(ctx).
		If(compare(clientv3.Value("t/b"), "=", "x")).
		Then(clientv3.OpTxn(
			[]clientv3.Cmp{compare(clientv3.Value("t/c"), "=", "no")},
			[]clientv3.Op{clientv3.OpPut("t/d", "yes")},
			[]clientv3.Op{clientv3.OpPut("t/d", "no"), clientv3.OpGet("t/d")}),
			clientv3.OpPut("t/e", "1")))
	commit("read only", c.Txn(ctx).Then(clientv3.OpGet("t/", clientv3.WithPrefix(), clientv3.WithKeysOnly())))
	commit("same key twice", c.Txn(ctx).Then(clientv3.OpPut("t/a", "1"), clientv3.OpPut("t/a", "2")))
	commit("put and delete of one key", c.Txn(ctx).
		Then(clientv3.OpPut("t/a", "1"), clientv3.OpDelete("t/", clientv3.WithPrefix())))
	commit("future", c.Txn(ctx).Then(clientv3.OpGet("t/a", clientv3.WithRev(1<<40))))
	commit("unknown lease", c.Txn(ctx).Then(clientv3.OpPut("t/a", "1", clientv3.WithLease(4711))))
	answer, err := c.Do(ctx, clientv3.OpGet("t/", clientv3.WithPrefix()))
	r.keep("what is there", answer.Get(), err)
	return nil
}

func playLimits(ctx context.Context, c *clientv3.Client, r *record) error {
	_, err := c.Put(ctx, "large", strings.Repeat("v", 1<<20))
	r.keep("put 1 MiB", err == nil, err)
	answer, err := c.Get(ctx, "large")
	r.keep("get 1 MiB", err == nil && len(answer.Kvs[0].Value) == 1<<20, err)
	_, err = c.Put(ctx, "large", strings.Repeat("v", 1600<<10))
	r.keep("put too much for the server", nil, err)
	_, err = c.Put(ctx, "large", strings.Repeat("v", 3<<20))
	r.keep("put too much for the client", nil, err)
	for _, count := range []int{128, 129} {
		ops := make([]clientv3.Op, count)
		for i := range ops {
			ops[i] = clientv3.OpPut(fmt.Sprintf("ops/%03d", i), "v")
		}
		_, err = c.Txn(ctx).Then(ops...).Commit()
		r.keep(fmt.Sprintf("%d operations", count), err == nil, err)
	}
	for i := range 6 {
		must(c.Put(ctx, fmt.Sprintf("large/%d", i), strings.Repeat("v", 1<<20)))
	}
	answer, err = c.Get(ctx, "large/", clientv3.WithPrefix())
	r.keep("6 MiB in one answer", err == nil && len(answer.Kvs) == 6, err)
	deleted, err := c.Delete(ctx, "large", clientv3.WithPrefix())
	r.keep("deleted", deleted, err)
	return nil
}

func playCompaction(ctx context.Context, c *clientv3.Client, r *record) error {
	var revision int64
	for i := range 6 {
		revision = must(c.Put(ctx, "compacted", fmt.Sprint(i))).Header.Revision
	}
	for _, ask := range []struct {
		what     string
		revision int64
		options  []clientv3.CompactOption
	}{
		{"some", revision - 3, nil},
		{"the same again", revision - 3, nil},
		{"more and wait", revision - 2, []clientv3.CompactOption{clientv3.WithCompactPhysical()}},
		{"the future", revision + 100, nil},
		{"all", revision, []clientv3.CompactOption{clientv3.WithCompactPhysical()}},
	} {
		answer, err := c.Compact(ctx, ask.revision, ask.options...)
		r.keep("compact "+ask.what, answer, err)
	}
	answer, err := c.Get(ctx, "compacted", clientv3.WithRev(revision-1))
	r.keep("get what is compacted", answer, err)
	answer, err = c.Get(ctx, "compacted", clientv3.WithRev(revision))
	r.keep("get what is left", answer, err)
	return nil
}
