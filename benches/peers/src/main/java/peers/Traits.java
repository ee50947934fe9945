package peers;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import peers.Names.Known;
import peers.Names.Meaning;

/** One event's traits, each once under the name it leaves with, in the order that their first keys came (T2 to T5). */
final class Traits {
    /** One trait; {@code parts} in an address's place, else {@code value}. */
    static final class Trait {
        final Known known;
        final int position;
        String name;
        Value value;
        Map<String, Value> parts;
        private int rank;

        private Trait(Known known, String name, Value value, int rank, int position) {
            this.known = known;
            this.name = name;
            this.value = value;
            this.rank = rank;
            this.position = position;
        }

        boolean isNull() {
            return parts == null && value.isNull();
        }

        /** Lets another key of this trait win where it is better: not null, then by rank, then first (T3). */
        private void compete(String key, Value other, int otherRank) {
            boolean isBetter = other.isNull() == value.isNull() ? otherRank < rank : value.isNull();
            if (isBetter) {
                value = other;
                rank = otherRank;
                name = known != null && known.isReserved() ? known.canonical : key;
            }
        }
    }

    /** A scalar of a whole map made flat: its joined key, and the trait that it is where it is one itself. */
    record Flat(String key, Value value, Known known, boolean isJoined) {}

    private static final int CANONICAL = 0;
    private static final int SPELLING = 1;
    private static final int ALIAS = 2;

    private final List<Trait> all = new ArrayList<>(32);
    private final Map<String, Trait> byFold = new HashMap<>(64);
    private final Map<Known, Trait> parts = new EnumMap<>(Known.class);
    private final Map<Known, Trait> known = new EnumMap<>(Known.class);
    private List<Flat> flat;

    Traits(Map<String, Value> members) {
        int position = 0;
        for (Map.Entry<String, Value> member : members.entrySet()) {
            add(member.getKey(), member.getValue(), position++);
        }
        joinAddress();
    }

    List<Trait> all() {
        return all;
    }

    /** A trait, null where the event does not carry it. */
    Trait trait(Known name) {
        return known.get(name);
    }

    /** A trait's value, null where the event does not carry it. */
    Value get(Known name) {
        Trait trait = known.get(name);
        return trait == null ? null : trait.value;
    }

    /** An address part's value. */
    Value part(Known part) {
        Trait address = known.get(Known.ADDRESS);
        return address == null || address.parts == null ? null : address.parts.get(part.canonical);
    }

    /** All traits, what stands in objects under keys joined with '_'; several destinations want it. */
    List<Flat> flat() {
        if (flat == null) {
            flat = new ArrayList<>(48);
            for (Trait trait : all) {
                if (trait.parts != null) {
                    flatten(trait.name, trait.parts, trait.known);
                } else if (trait.value.kind == Value.Kind.OBJECT) {
                    flatten(trait.name, trait.value.members(), trait.known);
                } else {
                    flat.add(new Flat(trait.name, trait.value, trait.known, false));
                }
            }
        }
        return flat;
    }

    private void flatten(String prefix, Map<String, Value> members, Known of) {
        members.forEach((key, value) -> {
            String joined = prefix + '_' + key;
            if (value.kind == Value.Kind.OBJECT) {
                flatten(joined, value.members(), of);
            } else {
                flat.add(new Flat(joined, value, of, true));
            }
        });
    }

    private void add(String key, Value value, int position) {
        String fold = Names.fold(key);
        Meaning meaning = Names.meaning(fold);
        if (meaning == null) {
            addTo(byFold, fold, new Trait(null, key, value, SPELLING, position));
            return;
        }
        Known name = meaning.known();
        int rank = meaning.isAlias() ? ALIAS : name.canonical.equals(key) ? CANONICAL : SPELLING;
        String leaves = name.isReserved() ? name.canonical : key;
        addTo(name.isPart() ? parts : known, name, new Trait(name, leaves, value, rank, position));
    }

    private <K> void addTo(Map<K, Trait> traits, K key, Trait trait) {
        Trait earlier = traits.putIfAbsent(key, trait);
        if (earlier != null) {
            earlier.compete(trait.name, trait.value, trait.rank);
        } else if (traits != parts) {
            all.add(trait);
        }
    }

    /** Puts the address together: what stands in it first, then parts from the top level (T4). */
    private void joinAddress() {
        Trait address = known.get(Known.ADDRESS);
        if (address != null) {
            address.parts = canonicalParts(address.value);
        }
        boolean isStateAlone = address == null && parts.size() == 1 && parts.containsKey(Known.STATE);
        if (parts.isEmpty() || isStateAlone) {
            all.addAll(parts.values());
        } else {
            List<Trait> found = new ArrayList<>(parts.values());
            found.sort(Comparator.comparingInt(part -> part.position));
            if (address == null) {
                address = new Trait(Known.ADDRESS, "address", Value.NULL, CANONICAL, found.get(0).position);
                address.parts = new LinkedHashMap<>();
                known.put(Known.ADDRESS, address);
                all.add(address);
            }
            Map<String, Value> whole = address.parts;
            found.forEach(part -> whole.merge(part.name, part.value, (first, next) -> first.isNull() ? next : first));
        }
        all.sort(Comparator.comparingInt(trait -> trait.position));
    }

    private static Map<String, Value> canonicalParts(Value address) {
        Map<String, Value> parts = new LinkedHashMap<>();
        Map<Known, Trait> best = new EnumMap<>(Known.class);
        address.members().forEach((key, value) -> {
            Meaning meaning = Names.meaning(Names.fold(key));
            if (meaning == null || !meaning.known().isPart()) {
                parts.put(key, value);
                return;
            }
            Known part = meaning.known();
            int rank = meaning.isAlias() ? ALIAS : part.canonical.equals(key) ? CANONICAL : SPELLING;
            Trait trait = best.computeIfAbsent(part, any -> new Trait(part, part.canonical, value, rank, 0));
            trait.compete(key, value, rank);
            parts.put(part.canonical, trait.value);
        });
        return parts;
    }
}
