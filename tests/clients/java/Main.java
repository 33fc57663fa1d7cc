import static java.nio.charset.StandardCharsets.UTF_8;

import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.ClientBuilder;
import io.etcd.jetcd.KV;
import io.etcd.jetcd.Lease;
import io.etcd.jetcd.lease.LeaseKeepAliveResponse;
import io.etcd.jetcd.lease.LeaseTimeToLiveResponse;
import io.etcd.jetcd.maintenance.StatusResponse;
import io.etcd.jetcd.op.Cmp;
import io.etcd.jetcd.op.CmpTarget;
import io.etcd.jetcd.op.Op;
import io.etcd.jetcd.options.CompactOption;
import io.etcd.jetcd.options.DeleteOption;
import io.etcd.jetcd.options.GetOption;
import io.etcd.jetcd.options.LeaseOption;
import io.etcd.jetcd.options.PutOption;
import io.grpc.stub.StreamObserver;
import java.io.File;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * Plays one conversation through the Java client of etcd and writes down every answer, so that two
 * servers can be compared by what a program sees of them.
 */
public final class Main {
    private static final PutOption PLAIN = PutOption.DEFAULT;

    private final Client client;
    private final KV keys;
    private final Record record = new Record();

    private Main(Client client) {
        this.client = client;
        keys = client.getKVClient();
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> given = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            given.put(arguments[i], arguments[i + 1]);
        }
        ClientBuilder builder = Client.builder()
                .endpoints(given.get("--endpoint"))
                .connectTimeout(Duration.ofSeconds(Record.PATIENCE))
                .retryMaxAttempts(1);
        if (given.containsKey("--cacert")) {
            builder.sslContext(ssl -> ssl
                    .trustManager(new File(given.get("--cacert")))
                    .keyManager(new File(given.get("--cert")), new File(given.get("--key"))));
        }
        try (Client client = builder.build()) {
            Main main = new Main(client);
            main.playKeys();
            main.playTransactions();
            main.playCompaction();
            main.playLeases();
            new Watching(client, main.record).play();
            main.playMaintenance(given.get("--endpoint"));
        }
    }

    static ByteSequence bytes(String text) {
        return ByteSequence.from(text, UTF_8);
    }

    private void put(String key, String value) throws Exception {
        keys.put(bytes(key), bytes(value)).get(Record.PATIENCE, TimeUnit.SECONDS);
    }

    private void get(String what, String key, GetOption.Builder option) throws Exception {
        record.keep("get " + what, keys.get(bytes(key), option.build()));
    }

    private void playKeys() throws Exception {
        record.keep("put", keys.put(bytes("a"), bytes("1")));
        record.keep("put over", keys.put(bytes("a"), bytes("2"), PutOption.builder().withPrevKV().build()));
        record.keep("put nowhere", keys.put(bytes(""), bytes("x")));
        record.keep("put with an unknown lease",
                keys.put(bytes("a"), bytes("x"), PutOption.builder().withLeaseId(4711).build()));
        for (String pair : new String[] {"r/c 1", "r/a 3", "r/b 2", "r/a 4"}) {
            put(pair.substring(0, 3), pair.substring(4));
        }
        get("one", "r/a", GetOption.builder());
        get("nothing", "nothing", GetOption.builder());
        get("prefix", "r/", GetOption.builder().isPrefix(true));
        get("keys", "r/", GetOption.builder().isPrefix(true).withKeysOnly(true));
        get("count", "r/", GetOption.builder().isPrefix(true).withCountOnly(true));
        get("limit", "r/", GetOption.builder().isPrefix(true).withLimit(2));
        get("range", "r/a", GetOption.builder().withRange(bytes("r/c")));
        get("from key", "r/b", GetOption.builder().withRange(bytes("\0")));
        get("before", "r/a", GetOption.builder().withRevision(5));
        get("the future", "r/a", GetOption.builder().withRevision(1000));
        get("without a round", "r/a", GetOption.builder().withSerializable(true));
        get("changed since", "r/", GetOption.builder().isPrefix(true).withMinModRevision(6));
        get("created until", "r/", GetOption.builder().isPrefix(true).withMaxCreateRevision(6));
        for (GetOption.SortTarget target : GetOption.SortTarget.values()) {
            for (GetOption.SortOrder order : GetOption.SortOrder.values()) {
                get("by " + target + " " + order, "r/",
                        GetOption.builder().isPrefix(true).withSortField(target).withSortOrder(order));
            }
        }
        record.keep("delete", keys.delete(bytes("a"), DeleteOption.builder().withPrevKV(true).build()));
        record.keep("delete nothing", keys.delete(bytes("a")));
        record.keep("delete prefix", keys.delete(bytes("r/"), DeleteOption.builder().isPrefix(true).build()));
    }

    private void playTransactions() throws Exception {
        put("t/a", "1");
        Cmp isOne = new Cmp(bytes("t/a"), Cmp.Op.EQUAL, CmpTarget.value(bytes("1")));
        Cmp isThere = new Cmp(bytes("t/a"), Cmp.Op.GREATER, CmpTarget.version(0));
        Cmp bIsThere = new Cmp(bytes("t/b"), Cmp.Op.NOT_EQUAL, CmpTarget.createRevision(0));
        Op getA = Op.get(bytes("t/a"), GetOption.DEFAULT);
        Op putB = Op.put(bytes("t/b"), bytes("1"), PLAIN);
        record.keep("txn yes", keys.txn().If(isOne, isThere)
                .Then(Op.put(bytes("t/a"), bytes("2"), PutOption.builder().withPrevKV().build()), getA)
                .Else(Op.delete(bytes("t/a"), DeleteOption.DEFAULT)).commit());
        record.keep("txn no", keys.txn().If(bIsThere).Then(putB)
                .Else(getA, Op.delete(bytes("t/none"), DeleteOption.DEFAULT)).commit());
        record.keep("nested", keys.txn()
                .Then(Op.txn(new Cmp[] {bIsThere}, new Op[] {getA}, new Op[] {putB}), getA).commit());
        record.keep("a key twice", keys.txn().Then(putB, putB).commit());
        Op[] many = new Op[129];
        for (int i = 0; i < many.length; i++) {
            many[i] = Op.put(bytes("t/" + i), bytes("1"), PLAIN);
        }
        record.keep("too many", keys.txn().Then(many).commit());
    }

    private void playCompaction() throws Exception {
        for (int i = 0; i < 5; i++) {
            put("c", Integer.toString(i));
        }
        long now = keys.get(bytes("c")).get().getHeader().getRevision();
        record.keep("compact", keys.compact(now - 2));
        record.keep("compact again", keys.compact(now - 2));
        record.keep("compact to the end",
                keys.compact(now, CompactOption.builder().withCompactPhysical(true).build()));
        record.keep("compact the future", keys.compact(now + 100));
        get("what is gone", "c", GetOption.builder().withRevision(now - 1));
    }

    private void playLeases() throws Exception {
        Lease leases = client.getLeaseClient();
        long id = leases.grant(120).get().getID();
        record.name(id, "LEASE");
        PutOption attached = PutOption.builder().withLeaseId(id).build();
        record.keep("attach", keys.put(bytes("l/a"), bytes("1"), attached));
        record.keep("attach", keys.put(bytes("l/b"), bytes("1"), attached));
        record.keep("keep alive once", leases.keepAliveOnce(id));
        LeaseOption withKeys = LeaseOption.builder().withAttachedKeys().build();
        LeaseTimeToLiveResponse left = leases.timeToLive(id, withKeys).get();
        // A second or two may have passed.
        record.note("time to live", left.getTTL() > 100, left.getGrantedTTL(),
                left.getKeys().stream().map(ByteSequence::toString).sorted().toList());
        record.keep("of nothing", leases.timeToLive(4711, withKeys));
        BlockingQueue<String> renewed = new LinkedBlockingQueue<>();
        try (AutoCloseable renewing = leases.keepAlive(id, observer(renewed))) {
            record.note("keep alive", renewed.poll(Record.PATIENCE, TimeUnit.SECONDS));
        }
        record.keep("revoke", leases.revoke(id));
        record.keep("revoke again", leases.revoke(id));
        record.keep("keep nothing alive", leases.keepAliveOnce(id));
        get("gone with it", "l/", GetOption.builder().isPrefix(true));
        record.keep("grant for too long", leases.grant(9_000_000_001L));
    }

    private static StreamObserver<LeaseKeepAliveResponse> observer(BlockingQueue<String> renewed) {
        return new StreamObserver<>() {
            @Override
            public void onNext(LeaseKeepAliveResponse answer) {
                renewed.add(answer.toString());
            }

            @Override
            public void onError(Throwable error) {
                renewed.add(Record.describe(error));
            }

            @Override
            public void onCompleted() {
                renewed.add("completed");
            }
        };
    }

    private void playMaintenance(String endpoint) throws Exception {
        StatusResponse status = client.getMaintenanceClient().statusMember(endpoint).get();
        record.note("status", status.getLeader(), status.getDbSize() > 0, status.getRaftIndex() > 0);
        record.note("members", client.getClusterClient().listMember().get().getMembers().stream()
                .map(member -> member.getId() + " " + member.getName() + " " + member.getPeerURIs()).toList());
        record.keep("alarms", client.getMaintenanceClient().listAlarms());
        record.keep("defragment", client.getMaintenanceClient().defragmentMember(endpoint));
    }
}
