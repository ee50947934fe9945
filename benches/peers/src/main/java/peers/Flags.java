package peers;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** Whether an event's flags let it reach each destination (F1 to F5). */
final class Flags {
    /** One destination's names in rank order: the definition's, then its aliases. */
    private record Claim(int destination, int rank) {}

    private static final int BY_FOLD = 1000;
    private static final int BY_ALL = 1001;
    private static final int BY_DEFAULT = 1002;

    private final Map<String, Claim> exact = new HashMap<>();
    private final Map<String, Integer> folded = new HashMap<>();
    private final int count;

    Flags(String[][] names) {
        count = names.length;
        for (int destination = 0; destination < count; destination++) {
            for (int rank = 0; rank < names[destination].length; rank++) {
                exact.put(names[destination][rank], new Claim(destination, rank));
                folded.put(fold(names[destination][rank]), destination);
            }
        }
    }

    /** Decides for all destinations. */
    boolean[] included(Value integrations) {
        boolean[] included = new boolean[count];
        Arrays.fill(included, true);
        if (integrations == null || integrations.kind != Value.Kind.OBJECT) {
            return included;
        }
        int[] ranks = new int[count];
        Arrays.fill(ranks, BY_DEFAULT);
        Map<String, Value> flags = integrations.members();
        flags.forEach((name, value) -> apply(name, value, included, ranks));
        Boolean all = all(flags);
        for (int destination = 0; destination < count && all != null; destination++) {
            if (ranks[destination] > BY_ALL) {
                included[destination] = all;
            }
        }
        return included;
    }

    private void apply(String name, Value value, boolean[] included, int[] ranks) {
        Boolean flag = flag(value);
        if (flag == null) {
            return;
        }
        Claim claim = exact.get(name);
        Integer byFold = claim == null ? folded.get(fold(name)) : Integer.valueOf(claim.destination);
        if (byFold == null) {
            return;
        }
        int rank = claim == null ? BY_FOLD : claim.rank;
        // By fold one exclusion outweighs any inclusion.
        if (rank < ranks[byFold] || rank == BY_FOLD && ranks[byFold] == BY_FOLD && !flag) {
            ranks[byFold] = rank;
            included[byFold] = flag;
        }
    }

    private static Boolean all(Map<String, Value> flags) {
        Value exact = flags.get("All");
        if (exact != null && flag(exact) != null) {
            return flag(exact);
        }
        Boolean all = null;
        for (Map.Entry<String, Value> entry : flags.entrySet()) {
            Boolean flag = fold(entry.getKey()).equals("all") ? flag(entry.getValue()) : null;
            all = flag == null ? all : all == null ? flag : Boolean.valueOf(all && flag);
        }
        return all;
    }

    /** True and objects include, false excludes, all else says nothing (F3). */
    private static Boolean flag(Value value) {
        return switch (value.kind) {
            case BOOLEAN -> value.source[value.from] == 't';
            case OBJECT -> Boolean.TRUE;
            case NULL, NUMBER, STRING, ARRAY -> null;
        };
    }

    private static String fold(String name) {
        StringBuilder folded = new StringBuilder(name.length());
        name.codePoints().filter(Character::isLetterOrDigit).forEach(folded::appendCodePoint);
        return folded.toString().toLowerCase(Locale.ROOT);
    }
}
