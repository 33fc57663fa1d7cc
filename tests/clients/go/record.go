package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// What two servers with the same behaviour may disagree about. Nothing stays nothing.
var masked = regexp.MustCompile(`(raft_term:|"raft_term":|RaftTerm:|RaftIndex:|RaftAppliedIndex:|DbSize:|DbSizeInUse:)[1-9]\d*`)

// record prints what was asked and answered, one line each.
type record struct {
	part  string
	names []string
}

// lease replaces an id the server chose by a name, in both spellings clients use.
func (r *record) lease(id clientv3.LeaseID, name string) {
	r.names = append(r.names, fmt.Sprintf("%d", id), name, fmt.Sprintf("%x", int64(id)), name)
}

// note prints a line.
func (r *record) note(what string, values ...any) {
	line := fmt.Sprint(what)
	for _, value := range values {
		line += " " + text(value)
	}
	line = masked.ReplaceAllString(line, "${1}_")
	line = strings.NewReplacer(r.names...).Replace(line)
	fmt.Printf("%s: %s\n", r.part, strings.ReplaceAll(line, "\n", " "))
}

func text(value any) string {
	switch value.(type) {
	case *clientv3.LeaseGrantResponse, *clientv3.LeaseKeepAliveResponse,
		*clientv3.LeaseTimeToLiveResponse, *clientv3.LeaseLeasesResponse:
		// These print as their header alone.
		return string(must(json.Marshal(value)))
	default:
		return fmt.Sprintf("%+v", value)
	}
}

// keep prints an answer or the error a program would compare with the library's own.
func (r *record) keep(what string, answer any, err error) {
	var known rpctypes.EtcdError
	switch {
	case err == nil:
		r.note(what+" =>", answer)
	case errors.As(err, &known):
		r.note(what+" => error", known.Code(), known.Error())
	default:
		r.note(what+" => error", err.Error())
	}
}

// must is for steps whose failure leaves nothing to compare.
func must[T any](answer T, err error) T {
	if err != nil {
		panic(err)
	}
	return answer
}
