// Plays one conversation through the Node client of etcd and writes down every answer, so that two
// servers can be compared by what a program sees of them.
"use strict";

const { once } = require("node:events");
const { readFileSync } = require("node:fs");
const { parseArgs } = require("node:util");
const { Etcd3 } = require("etcd3");

// A server that does not answer must not hold the caller; the conversation takes a few seconds.
const LIMIT_MS = 120_000;

// Fields that two servers with the same behaviour may disagree about. Nothing stays nothing.
const MASKED = new Set(["raft_term", "raft_index", "raftTerm", "raftIndex", "raftAppliedIndex", "dbSize"]);
const names = new Map();

function text(value) {
  return JSON.stringify(value, (field, item) => {
    // Buffers turn into this before a replacer sees them.
    if (item?.type === "Buffer") return Buffer.from(item.data).toString("latin1");
    if (MASKED.has(field)) return Number(item) === 0 ? "0" : "_";
    return names.get(item) ?? item;
  });
}

function note(what, ...values) {
  console.log([what, ...values.map(text)].join(" "));
}

// Prints what was answered, or the error a program would catch.
async function keep(what, ask) {
  try {
    note(`${what} =>`, await ask);
  } catch (error) {
    note(`${what} => error`, error.constructor.name, error.message);
  }
}

async function playKeys(client) {
  await keep("put", client.put("a").value("1"));
  await keep("put over", client.put("a").value("2").getPrevious());
  await keep("put nowhere", client.put("").value("x"));
  await keep("put bytes", client.put(Buffer.from([0, 255])).value(Buffer.from([255, 0])));
  await keep("put with an unknown lease", client.put("a").value("x").lease(4711));
  await keep("touch", client.put("a").touch());
  await keep("touch nothing", client.put("nothing").touch());
  await keep("keep the lease", client.put("a").value("3").ignoreLease());
  for (const [key, value] of [["r/c", 1], ["r/a", 3], ["r/b", 2], ["r/a", 4]]) {
    await client.put(key).value(value);
  }
  await keep("get", client.get("a").exec());
  await keep("get text", client.get("a").string());
  await keep("get a number", client.get("r/a").number());
  await keep("get nothing", client.get("nothing"));
  await keep("get before", client.get("r/a").revision(7).exec());
  await keep("get the future", client.get("r/a").revision(1000).exec());
  await keep("get without a round", client.get("r/a").serializable(true).exec());
  const prefix = () => client.getAll().prefix("r/");
  await keep("prefix", prefix().exec());
  await keep("keys", prefix().keys());
  await keep("count", prefix().count());
  await keep("limit", prefix().limit(2).exec());
  await keep("changed since", prefix().minModRevision(8).exec());
  await keep("created until", prefix().maxCreateRevision(8).exec());
  for (const target of ["Key", "Version", "Create", "Mod", "Value"]) {
    await keep(`by ${target}`, prefix().sort(target, "Descend").strings());
  }
  await keep("range", client.getAll().inRange({ start: "r/a", end: "r/c" }).exec());
  await keep("all", client.getAll().keys("latin1"));
  await keep("delete", client.delete().key("a").getPrevious());
  await keep("delete nothing", client.delete().key("a").exec());
  await keep("delete prefix", client.delete().prefix("r/").exec());
  await keep("delete all", client.delete().all().exec());
}

async function playTransactions(client) {
  await client.put("t/a").value("1");
  await keep("txn yes", client.if("t/a", "Value", "==", "1").and("t/a", "Version", ">", 0)
    .then(client.put("t/a").value("2"), client.get("t/a"))
    .else(client.delete().key("t/a")).commit());
  await keep("txn no", client.if("t/b", "Create", "!=", 0)
    .then(client.put("t/a").value("3"))
    .else(client.get("t/a"), client.delete().key("t/none")).commit());
  await keep("a key twice", client.if("t/a", "Mod", ">", 0)
    .then(client.put("t/a").value("1"), client.put("t/a").value("2")).commit());
  const many = Array.from({ length: 129 }, (_, i) => client.put(`t/${i}`).value("1"));
  await keep("too many", client.if("t/a", "Mod", ">", 0).then(...many).commit());
  await client.put("sum").value("0");
  await Promise.all(Array.from({ length: 8 }, () => client.stm({ retries: 100 }).transact(async (memory) =>
    memory.put("sum").value((await memory.get("sum").number()) + 1))));
  await keep("sum", client.get("sum").number());
}

async function playCompaction(client) {
  for (let i = 0; i < 5; i++) await client.put("c").value(i);
  const now = Number((await client.get("c").exec()).header.revision);
  await keep("compact", client.kv.compact({ revision: now - 2 }));
  await keep("compact again", client.kv.compact({ revision: now - 2 }));
  await keep("compact to the end", client.kv.compact({ revision: now, physical: true }));
  await keep("compact the future", client.kv.compact({ revision: now + 100 }));
  await keep("get what is gone", client.get("c").revision(now - 1).exec());
}

async function playLeases(client) {
  const lease = client.lease(120, { autoKeepAlive: false });
  const id = await lease.grant();
  names.set(id, "LEASE");
  await keep("attach", lease.put("l/a").value("1"));
  await keep("attach", lease.put("l/b").value("1"));
  await keep("keep alive", lease.keepaliveOnce());
  const left = await client.leaseClient.leaseTimeToLive({ ID: id, keys: true });
  left.keys = left.keys.map(String).sort();
  // A second or two may have passed.
  left.TTL = Number(left.TTL) > 100;
  note("time to live", left);
  await keep("of nothing", client.leaseClient.leaseTimeToLive({ ID: 4711 }));
  await keep("leases", client.leaseClient.leaseLeases({}));
  await keep("revoke", lease.revoke());
  await keep("revoke an unknown lease", client.leaseClient.leaseRevoke({ ID: 4711 }));
  await keep("gone with it", client.getAll().prefix("l/").keys());
  await keep("grant for too long", client.leaseClient.leaseGrant({ TTL: 9_000_000_001 }));
  await playLost(client);
  await playLock(client);
}

// A lease that is gone is noticed by the library, which renews it all the time.
async function playLost(client) {
  const lease = client.lease(3);
  const lost = once(lease, "lost");
  await once(lease, "keepaliveSucceeded");
  await client.leaseClient.leaseRevoke({ ID: await lease.grant() });
  const [error] = await lost;
  note("lost", error.constructor.name, lease.state);
}

async function playLock(client) {
  await client.lock("lock").ttl(30).do(async () => {
    note("locked");
    await keep("lock of another", client.lock("lock").ttl(30).acquire());
  });
  const after = await client.lock("lock").ttl(30).acquire();
  note("locked after it");
  await after.release();
  const election = client.election("election", 30);
  const campaign = election.campaign("first");
  await once(campaign, "elected");
  await keep("leader", election.leader());
  await campaign.proclaim("still first");
  await keep("leader", election.leader());
  await campaign.resign();
  await keep("leader", election.leader());
}

// What a watcher is told waits here to be looked at.
class Watching {
  constructor(what, builder) {
    this.what = what;
    this.told = [];
    this.wake = () => {};
    this.watcher = builder.watcher();
    this.watcher.on("connected", () => this.tell("connected"));
    this.watcher.on("data", (answer) => this.tell("data", answer));
    this.watcher.on("error", (error) => this.tell("error", error.constructor.name, error.message));
  }

  tell(...event) {
    this.told.push(event);
    this.wake();
  }

  async next() {
    while (this.told.length === 0) await new Promise((resolve) => { this.wake = resolve; });
    note(this.what, ...this.told.shift());
  }
}

async function playWatches(client) {
  const put = (key, value) => client.put(key).value(value);
  const start = (await put("w/a", "1")).header.revision;
  await put("w/b", "1");
  await client.delete().key("w/a");
  const prefix = () => client.watch().prefix("w/");
  const history = new Watching("history", prefix().startRevision(start));
  for (let i = 0; i < 2; i++) await history.next();
  const before = new Watching("what was", prefix().startRevision(start).withPreviousKV());
  for (let i = 0; i < 2; i++) await before.next();
  const puts = new Watching("without deletes", prefix().only("put"));
  const deletes = new Watching("without puts", prefix().only("delete").withPreviousKV());
  for (const watching of [puts, deletes]) await watching.next();
  for (const value of ["1", "2"]) {
    await put("w/live", value);
    for (const watching of [history, before, puts]) await watching.next();
  }
  await client.delete().key("w/live");
  for (const watching of [history, before, deletes]) await watching.next();
  await client.if("w/b", "Mod", ">", 0).then(put("w/x", "1"), put("w/y", "1")).commit();
  for (const watching of [history, before, puts]) await watching.next();
  await history.watcher.cancel();
  await put("w/after", "1");
  await puts.next();
  note("told the given up", history.told.length);
  await client.kv.compact({ revision: Number(start) + 2, physical: true });
  const compacted = new Watching("compacted", prefix().startRevision(start));
  for (let i = 0; i < 2; i++) await compacted.next();
  const late = new Watching("not compacted", prefix().startRevision(String(Number(start) + 2)));
  for (let i = 0; i < 2; i++) await late.next();
  const wrong = new Watching("wrong range", client.watch().inRange({ start: "b", end: "a" }));
  await wrong.next();
}

async function playMaintenance(client) {
  const status = await client.maintenance.status({});
  status.version = "";
  delete status.dbSizeInUse;
  note("status", status);
  const { members } = await client.cluster.memberList({});
  note("members", members.map(({ ID, name, peerURLs }) => ({ ID, name, peerURLs })));
  await keep("alarms", client.maintenance.alarm({ action: 0 }));
  await keep("defragment", client.maintenance.defragment({}));
}

async function main() {
  const string = { type: "string" };
  const { values } = parseArgs({ options: { endpoint: string, cacert: string, cert: string, key: string } });
  const credentials = values.cacert && {
    rootCertificate: readFileSync(values.cacert),
    certChain: readFileSync(values.cert),
    privateKey: readFileSync(values.key),
  };
  const client = new Etcd3({ hosts: values.endpoint, credentials });
  for (const play of [playKeys, playTransactions, playCompaction, playLeases, playWatches, playMaintenance]) {
    console.log("---", play.name);
    await play(client);
  }
  client.close();
}

setTimeout(() => {
  console.error("FAILED: the conversation takes too long");
  process.exit(1);
}, LIMIT_MS).unref();
main().then(() => process.exit(0), (error) => {
  console.error("FAILED:", error);
  process.exit(1);
});
