package peers;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalTime;
import java.time.ZoneOffset;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** An instant with the fraction digits that came (D2 to D4); null stands for what is no date. */
record Dates(long seconds, String fraction) {
    private static final long FIRST_MILLISECOND = 31_557_600_000L;
    private static final Pattern NUMBER = Pattern.compile("(-?)(\\d+)(?:\\.(\\d+))?");
    private static final Pattern CALENDAR = Pattern.compile(
            "(\\d{4}-\\d\\d-\\d\\d)(?:[T ](\\d\\d):(\\d\\d)(?::(\\d\\d)(?:\\.(\\d+))?)?(?:Z|([+-]\\d\\d)(?::?(\\d\\d))?)?)?");

    static Dates read(Value value) {
        String text = value == null || !value.isScalar() || value.kind == Value.Kind.BOOLEAN ? null : value.text();
        if (text == null) {
            return null;
        }
        Matcher number = NUMBER.matcher(text);
        try {
            return number.matches() ? ofNumber(number) : ofCalendar(CALENDAR.matcher(text));
        } catch (DateTimeException | NumberFormatException error) {
            return null;
        }
    }

    String iso8601() {
        String whole = Instant.ofEpochSecond(seconds).toString();
        return fraction.isEmpty() ? whole : whole.substring(0, whole.length() - 1) + '.' + fraction + 'Z';
    }

    private static Dates ofNumber(Matcher number) {
        if (!number.group(1).isEmpty()) {
            return null;
        }
        long whole = Long.parseLong(number.group(2));
        String fraction = number.group(3) == null ? "" : number.group(3);
        if (whole < FIRST_MILLISECOND) {
            return new Dates(whole, fraction);
        }
        return new Dates(whole / 1000, String.valueOf(1000 + whole % 1000).substring(1) + fraction);
    }

    private static Dates ofCalendar(Matcher text) {
        if (!text.matches()) {
            return null;
        }
        LocalTime time = text.group(2) == null ? LocalTime.MIDNIGHT : LocalTime.of(part(text, 2), part(text, 3), part(text, 4));
        int sign = text.group(6) != null && text.group(6).startsWith("-") ? -1 : 1;
        long offset = text.group(6) == null ? 0 : part(text, 6) * 3600L + sign * part(text, 7) * 60L;
        long seconds = LocalDate.parse(text.group(1)).toEpochSecond(time, ZoneOffset.UTC) - offset;
        return new Dates(seconds, text.group(5) == null ? "" : text.group(5));
    }

    private static int part(Matcher text, int group) {
        return text.group(group) == null ? 0 : Integer.parseInt(text.group(group));
    }
}
