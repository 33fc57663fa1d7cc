package main

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func playMaintenance(ctx context.Context, c *clientv3.Client, r *record) error {
	endpoint := c.Endpoints()[0]
	status, err := c.Status(ctx, endpoint)
	if err == nil {
		// Programs of different versions may be compared.
		status.Version = ""
	}
	r.keep("status", status, err)
	members, err := c.MemberList(ctx)
	if err == nil {
		for _, member := range members.Members {
			member.ClientURLs = nil
		}
	}
	r.keep("members", members, err)
	alarms, err := c.AlarmList(ctx)
	r.keep("alarms", alarms, err)
	disarmed, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	r.keep("disarm", disarmed, err)
	defragmented, err := c.Defragment(ctx, endpoint)
	r.keep("defragment", defragmented, err)
	hash, err := c.HashKV(ctx, endpoint, 0)
	if err == nil {
		// Lease ids are part of what is hashed, and the servers chose their own.
		hash.Hash = 0
	}
	r.keep("hash", hash, err)
	return nil
}
