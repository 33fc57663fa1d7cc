import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.KV;
import io.etcd.jetcd.Watch;
import io.etcd.jetcd.op.Op;
import io.etcd.jetcd.options.CompactOption;
import io.etcd.jetcd.options.PutOption;
import io.etcd.jetcd.options.WatchOption;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** What watchers are told: history, live events, filters, progress, ends. */
final class Watching {
    private static final ByteSequence PREFIX = Main.bytes("w/");

    private final KV keys;
    private final Watch watch;
    private final Record record;

    Watching(Client client, Record record) {
        keys = client.getKVClient();
        watch = client.getWatchClient();
        this.record = record;
    }

    /** A watcher whose answers wait to be looked at. */
    private final class Told implements AutoCloseable {
        private final String what;
        private final BlockingQueue<Object> answers = new LinkedBlockingQueue<>();
        private final Watch.Watcher watcher;

        Told(String what, ByteSequence key, WatchOption.Builder option) {
            this.what = what;
            watcher = watch.watch(key, option.build(),
                    Watch.listener(answers::add, answers::add, () -> answers.add("completed")));
        }

        void next() throws Exception {
            Object answer = answers.poll(Record.PATIENCE, TimeUnit.SECONDS);
            if (answer instanceof Throwable error) {
                record.note(what, "error", Record.describe(error));
            } else {
                record.note(what, answer);
            }
        }

        @Override
        public void close() {
            watcher.close();
        }
    }

    private static WatchOption.Builder prefix() {
        return WatchOption.builder().isPrefix(true).withCreateNotify(true);
    }

    private long put(String key, String value) throws Exception {
        return keys.put(Main.bytes(key), Main.bytes(value)).get().getHeader().getRevision();
    }

    void play() throws Exception {
        long start = put("w/a", "1");
        put("w/b", "1");
        keys.delete(Main.bytes("w/a")).get();
        try (Told history = new Told("history", PREFIX, prefix().withRevision(start).withPrevKV(true));
                Told puts = new Told("without deletes", PREFIX, prefix().withNoDelete(true));
                Told deletes = new Told("without puts", PREFIX, prefix().withNoPut(true).withPrevKV(true))) {
            for (Told told : new Told[] {history, history, puts, deletes}) {
                told.next();
            }
            for (String value : new String[] {"1", "2"}) {
                put("w/live", value);
                history.next();
                puts.next();
            }
            keys.delete(Main.bytes("w/live")).get();
            history.next();
            deletes.next();
            Op x = Op.put(Main.bytes("w/x"), Main.bytes("1"), PutOption.DEFAULT);
            Op y = Op.put(Main.bytes("w/y"), Main.bytes("1"), PutOption.DEFAULT);
            keys.txn().Then(x, y).commit().get();
            history.next();
            puts.next();
            history.close();
            history.next();
            put("w/after", "1");
            puts.next();
        }
        playProgress();
        playCompacted(start);
    }

    private void playProgress() throws Exception {
        WatchOption.Builder option = WatchOption.builder().withCreateNotify(true).withProgressNotify(true);
        try (Told quiet = new Told("quiet", Main.bytes("w/quiet"), option)) {
            quiet.next();
            put("w/elsewhere", "1");
            quiet.watcher.requestProgress();
            quiet.next();
        }
    }

    private void playCompacted(long start) throws Exception {
        keys.compact(start + 2, CompactOption.builder().withCompactPhysical(true).build()).get();
        try (Told gone = new Told("compacted", PREFIX, prefix().withRevision(start));
                Told left = new Told("not compacted", PREFIX, prefix().withRevision(start + 2));
                Told wrong = new Told("wrong range", Main.bytes("b"),
                        WatchOption.builder().withRange(Main.bytes("a")))) {
            for (Told told : new Told[] {gone, gone, left, left, wrong}) {
                told.next();
            }
        }
    }
}
