package peers;

import java.text.Normalizer;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** Keys: how they fold, what they mean, and how HubSpot wants them. */
final class Names {
    /** The reserved traits, and what this job's destinations name besides. */
    enum Known {
        ADDRESS("address"), CREATED_AT("createdAt"), AVATAR("avatar"), DESCRIPTION("description"), EMAIL("email"),
        EMPLOYEES("employees"), ID("id"), INDUSTRY("industry"), NAME("name"), PHONE("phone"), WEBSITE("website"),
        PLAN("plan"), REVENUE("revenue"), CITY("city"), COUNTRY("country"), POSTAL_CODE("postalCode"), STATE("state"),
        STREET("street"), MONTHLY_SPEND("monthlySpend"), OBJECT_TYPE_ID("objectTypeId");

        final String canonical;

        Known(String canonical) {
            this.canonical = canonical;
        }

        boolean isPart() {
            return this == CITY || this == COUNTRY || this == POSTAL_CODE || this == STATE || this == STREET;
        }

        /** Whether a trait leaves under the canonical name; others keep their own spelling (T5). */
        boolean isReserved() {
            return this != MONTHLY_SPEND && this != OBJECT_TYPE_ID;
        }
    }

    /** What a fold means; {@code isAlias} ranks it last (T3). */
    record Meaning(Known known, boolean isAlias) {}

    private static final Map<String, Meaning> BY_FOLD = new HashMap<>();

    static {
        for (Known known : Known.values()) {
            BY_FOLD.put(fold(known.canonical), new Meaning(known, false));
        }
        BY_FOLD.put("created", new Meaning(Known.CREATED_AT, true));
        for (String alias : new String[] {"zip", "zipcode", "postcode"}) {
            BY_FOLD.put(alias, new Meaning(Known.POSTAL_CODE, true));
        }
    }

    private Names() {}

    static Meaning meaning(String fold) {
        return BY_FOLD.get(fold);
    }

    /** Lower case without white space, '_', '-' and a leading '$' (T1). */
    static String fold(String key) {
        if (isFolded(key)) {
            return key;
        }
        String whole = isAscii(key) ? key : Normalizer.normalize(key, Normalizer.Form.NFC).toLowerCase(Locale.ROOT);
        StringBuilder folded = new StringBuilder(whole.length());
        for (int index = 0; index < whole.length(); index++) {
            char character = whole.charAt(index);
            if (character != '_' && character != '-' && !Character.isWhitespace(character)) {
                folded.append(character < 128 ? (char) lower(character) : character);
            }
        }
        if (folded.length() > 0 && folded.charAt(0) == '$') {
            folded.deleteCharAt(0);
        }
        return folded.isEmpty() ? "_" + key : folded.toString();
    }

    /** {@code totalBilled} to {@code total_billed}: a word ends before a capital, or between anything but letters and digits. */
    static String snake(String key) {
        StringBuilder cased = new StringBuilder(key.length() + 8);
        int mode = ' ';
        for (int index = 0; index < key.length(); index++) {
            char character = key.charAt(index);
            if (!Character.isLetterOrDigit(character)) {
                mode = ' ';
                continue;
            }
            boolean isCapital = Character.isUpperCase(character);
            boolean isBeforeLower = index + 1 < key.length() && Character.isLowerCase(key.charAt(index + 1));
            boolean begins = mode == ' ' || isCapital && (mode == 'a' || mode == 'A' && isBeforeLower);
            if (begins && cased.length() > 0) {
                cased.append('_');
            }
            cased.append(Character.toLowerCase(character));
            mode = isCapital ? 'A' : Character.isLowerCase(character) ? 'a' : mode == ' ' ? '0' : mode;
        }
        return cased.toString();
    }

    private static boolean isFolded(String key) {
        for (int index = 0; index < key.length(); index++) {
            char character = key.charAt(index);
            if (!(character >= 'a' && character <= 'z' || character >= '0' && character <= '9' || character == '.')) {
                return false;
            }
        }
        return !key.isEmpty();
    }

    private static boolean isAscii(String key) {
        return key.chars().allMatch(character -> character < 128);
    }

    private static int lower(char character) {
        return character >= 'A' && character <= 'Z' ? character + 32 : character;
    }
}
