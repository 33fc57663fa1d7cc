"""Plays one conversation through the Python client of etcd and writes down every answer, so that two
servers can be compared by what a program sees of them."""

import argparse
import faulthandler
import queue
import re
from urllib.parse import urlsplit

import etcd3
import grpc
from google.protobuf import text_format
from google.protobuf.message import Message

# What two servers with the same behaviour may disagree about. Nothing stays nothing.
MASKED = re.compile(r"(raft_term: )[1-9][0-9]*")
# A server that does not answer must not hold the caller; the conversation takes a few seconds.
LIMIT = 120
# Of one answer.
PATIENCE = 20


def text(value):
    """One line for anything the library answers with."""
    if isinstance(value, Message):
        return "{" + text_format.MessageToString(value, as_one_line=True) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(item) for item in value) + "]"
    if hasattr(value, "response_header"):
        return text(vars(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {text(item)}" for key, item in sorted(value.items())) + "}"
    return repr(value)


def note(what, *values):
    """Prints a line of the record."""
    line = " ".join([what, *(text(value) for value in values)])
    print(MASKED.sub(r"\1_", line))


def keep(what, ask, *arguments, **options):
    """Prints what was answered, or the error a program would catch."""
    try:
        answer = ask(*arguments, **options)
        note(what + " =>", list(answer) if hasattr(answer, "__next__") else answer)
    except grpc.RpcError as error:
        note(what + " => error", type(error).__name__, error.code().name, error.details())
    except etcd3.exceptions.Etcd3Exception as error:
        note(what + " => error", type(error).__name__, vars(error))


def play_keys(client):
    keep("put", client.put, "a", "1")
    keep("put over", client.put, "a", "2", prev_kv=True)
    keep("put nowhere", client.put, "", "x")
    keep("put bytes", client.put, b"\x00\xff", b"\xff\x00")
    keep("put with an unknown lease", client.put, "a", "x", lease=4711)
    keep("put if not there", client.put_if_not_exists, "a", "x")
    keep("put if not there", client.put_if_not_exists, "b", "1")
    keep("replace", client.replace, "b", "1", "2")
    keep("replace something else", client.replace, "b", "1", "3")
    for key, value in [("r/c", "1"), ("r/a", "3"), ("r/b", "2"), ("r/a", "4")]:
        client.put(key, value)
    keep("get", client.get, "a")
    keep("get nothing", client.get, "nothing")
    keep("get with its header", client.get_response, "r/a")
    keep("get without a round", client.get_response, "r/a", serializable=True)
    keep("prefix", client.get_prefix_response, "r/")
    keep("prefix, keys", client.get_prefix, "r/", keys_only=True)
    for order in ["ascend", "descend"]:
        for target in ["key", "version", "create", "mod", "value"]:
            keep(f"by {target}, {order}", client.get_prefix, "r/", sort_order=order, sort_target=target)
    keep("range", client.get_range_response, "r/a", "r/c")
    keep("range backwards", client.get_range_response, "r/c", "r/a")
    keep("all", client.get_all_response)
    keep("delete", client.delete, "a", prev_kv=True, return_response=True)
    keep("delete nothing", client.delete, "a")
    keep("delete prefix", client.delete_prefix, "r/")
    keep("what is left", client.get_all)


def play_transactions(client):
    txn = client.transactions
    client.put("t/a", "1")
    keep("txn yes", client.transaction,
         compare=[txn.value("t/a") == "1", txn.version("t/a") > 0],
         success=[txn.put("t/a", "2", prev_kv=True), txn.get("t/a")],
         failure=[txn.delete("t/a")])
    keep("txn no", client.transaction,
         compare=[txn.create("t/b") != 0, txn.mod("t/a") < 2],
         success=[txn.put("t/a", "3")],
         failure=[txn.get("t/a"), txn.delete("t/a", prev_kv=True), txn.get("t/a")])
    keep("nested", client.transaction,
         compare=[],
         success=[txn.txn(compare=[txn.version("t/b") == 0], success=[txn.put("t/b", "1")], failure=[])],
         failure=[])
    keep("a key twice", client.transaction,
         compare=[], success=[txn.put("t/a", "1"), txn.put("t/a", "2")], failure=[])
    keep("too many", client.transaction,
         compare=[], success=[txn.put(f"t/{i}", "1") for i in range(129)], failure=[])


def play_compaction(client):
    for value in range(5):
        client.put("c", str(value))
    revision = client.get_response("c").header.revision
    keep("compact", client.compact, revision - 2)
    keep("compact again", client.compact, revision - 2)
    keep("compact to the end", client.compact, revision, physical=True)
    keep("compact the future", client.compact, revision + 100)
    old = etcd3.etcdrpc.RangeRequest(key=b"c", revision=revision - 1)
    keep("get what is gone", client.kvstub.Range, old, timeout=PATIENCE)


def play_leases(client):
    keep("revoke an unknown lease", client.revoke_lease, 4711)
    lease = client.lease(120, lease_id=77)
    note("granted", lease.id, lease.ttl)
    keep("grant it again", client.lease, 120, lease_id=77)
    keep("grant for too long", client.lease, 9_000_000_001)
    keep("attach", client.put, "l/a", "1", lease=lease)
    keep("attach", client.put, "l/b", "1", lease=lease)
    keep("keep alive", lease.refresh)
    info = client.get_lease_info(77)
    # A second or two may have passed.
    note("time to live", info.TTL > 100, info.grantedTTL, sorted(info.keys))
    keep("of nothing", client.get_lease_info, 4711)
    keep("keep nothing alive", client.refresh_lease, 4711)
    keep("revoke", lease.revoke)
    keep("gone with it", client.get_prefix, "l/")
    with client.lock("lock", ttl=30) as lock:
        note("lock", lock.is_acquired())
        other = client.lock("lock", ttl=30)
        note("lock of another", other.acquire(timeout=1))
        note("refreshed", [answer.TTL for answer in lock.refresh()])
    note("lock after it", other.acquire(timeout=PATIENCE))


class Watching:
    """A watcher whose answers wait to be looked at."""

    def __init__(self, client, what, key, **options):
        self.client, self.what, self.answers = client, what, queue.Queue()
        self.id = client.add_watch_callback(key, self.answers.put, **options)

    def next(self):
        answer = self.answers.get(timeout=PATIENCE)
        if isinstance(answer, Exception):
            note(self.what, "failed", type(answer).__name__, vars(answer))
            return
        note(self.what, answer.header, len(answer.events))
        for event in answer.events:
            note(self.what, type(event).__name__, event._event)


def play_watches(client):
    start = client.put("w/a", "1").header.revision
    client.put("w/b", "1")
    client.delete("w/a")
    history = Watching(client, "history", "w/", range_end="w0", start_revision=start)
    history.next()
    before = Watching(client, "what was", "w/", range_end="w0", start_revision=start, prev_kv=True)
    before.next()
    # The library cannot ask for filters: it assigns to a repeated field.
    live = Watching(client, "live", "w/", range_end="w0", prev_kv=True)
    for value in ["1", "2"]:
        client.put("w/live", value)
        history.next()
        live.next()
    client.delete("w/live")
    history.next()
    live.next()
    txn = client.transactions
    client.transaction(compare=[], success=[txn.put("w/x", "1"), txn.put("w/y", "1")], failure=[])
    history.next()
    live.next()
    client.cancel_watch(history.id)
    client.put("w/after", "1")
    live.next()
    note("told the given up", history.answers.qsize())
    events, cancel = client.watch_prefix("w/", start_revision=start)
    note("iterated", [type(next(events)).__name__ for _ in range(3)])
    cancel()
    client.compact(start + 2, physical=True)
    compacted = Watching(client, "compacted", "w/", range_end="w0", start_revision=start)
    compacted.next()
    late = Watching(client, "not compacted", "w/", range_end="w0", start_revision=start + 2)
    late.next()


def play_maintenance(client):
    status = client.status()
    note("status", status.db_size > 0, status.leader.id, status.raft_index > 0, status.raft_term > 0)
    note("members", [(member.id, member.name, list(member.peer_urls)) for member in client.members])
    keep("alarms", client.list_alarms)
    keep("disarm", client.disarm_alarm)
    keep("defragment", client.defragment)


def connect():
    parser = argparse.ArgumentParser()
    for name in ["endpoint", "cacert", "cert", "key"]:
        parser.add_argument(f"--{name}")
    given = parser.parse_args()
    url = urlsplit(given.endpoint)
    return etcd3.client(host=url.hostname, port=url.port, timeout=PATIENCE,
                        ca_cert=given.cacert, cert_cert=given.cert, cert_key=given.key)


def main():
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    client = connect()
    for play in [play_keys, play_transactions, play_compaction, play_leases, play_watches, play_maintenance]:
        print("---", play.__name__)
        play(client)
    client.close()


if __name__ == "__main__":
    main()
