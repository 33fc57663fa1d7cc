import io.etcd.jetcd.common.exception.CompactedException;
import io.etcd.jetcd.common.exception.EtcdException;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/** Writes down what was asked and answered, one line each. */
final class Record {
    /** Of one answer, in seconds: a server that gives none must not hold the caller. */
    static final int PATIENCE = 20;
    /** What two servers with the same behaviour may disagree about. Nothing stays nothing. */
    private static final Pattern MASKED = Pattern.compile("(raft_term: |raftIndex: |dbSize: )[1-9][0-9]*");
    private static final Pattern BLANKS = Pattern.compile("\\s+");

    private final Map<String, String> names = new HashMap<>();

    /** Replaces an id the server chose by a name. */
    void name(long id, String name) {
        names.put(Long.toString(id), name);
    }

    void note(Object... values) {
        StringBuilder line = new StringBuilder();
        for (Object value : values) {
            line.append(value).append(' ');
        }
        String text = BLANKS.matcher(line).replaceAll(" ");
        text = MASKED.matcher(text).replaceAll("$1_");
        for (Map.Entry<String, String> name : names.entrySet()) {
            text = text.replace(name.getKey(), name.getValue());
        }
        System.out.println(text.trim());
    }

    /** Prints the answer or the error a program would catch, and hands the answer back. */
    <T> T keep(String what, CompletableFuture<T> asked) throws Exception {
        try {
            T answer = asked.get(PATIENCE, TimeUnit.SECONDS);
            note(what, "=>", answer);
            return answer;
        } catch (ExecutionException failed) {
            note(what, "=> error", describe(failed.getCause()));
            return null;
        }
    }

    /** Kind, code and text; of a compaction the revision too. */
    static String describe(Throwable error) {
        String text = error.getClass().getSimpleName();
        if (error instanceof EtcdException etcd) {
            text += " " + etcd.getErrorCode();
        }
        if (error instanceof CompactedException compacted) {
            text += " " + compacted.getCompactedRevision();
        }
        return text + " " + error.getMessage();
    }
}
