// Plays one conversation through the Go client of etcd and writes down every answer, so that two
// servers can be compared by what a program sees of them.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// A broken server must not hold the caller: the whole conversation takes a few seconds.
const limit = 120 * time.Second

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
}

func run() error {
	var files transport.TLSInfo
	endpoint := flag.String("endpoint", "", "URL of the server")
	flag.StringVar(&files.TrustedCAFile, "cacert", "", "authority to trust")
	flag.StringVar(&files.CertFile, "cert", "", "certificate to show")
	flag.StringVar(&files.KeyFile, "key", "", "its key")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var config *tls.Config
	if !files.Empty() {
		var err error
		if config, err = files.ClientConfig(); err != nil {
			return err
		}
	}
	client, err := clientv3.New(clientv3.Config{
		Context:     ctx,
		Endpoints:   []string{*endpoint},
		DialTimeout: 10 * time.Second,
		TLS:         config,
		Logger:      zap.NewNop(),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	for _, part := range []struct {
		name string
		play func(context.Context, *clientv3.Client, *record) error
	}{
		{"keys", playKeys},
		{"ranges", playRanges},
		{"transactions", playTransactions},
		{"limits", playLimits},
		{"compaction", playCompaction},
		{"leases", playLeases},
		{"watches", playWatches},
		{"recipes", playRecipes},
		{"maintenance", playMaintenance},
	} {
		rec := &record{part: part.name}
		if err := part.play(ctx, client, rec); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
