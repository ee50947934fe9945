package peers;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/** A JSON value where it stands in the event's bytes: what no rule converts leaves as those bytes (E8). */
final class Value {
    enum Kind { NULL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT }

    static final JsonFactory JSON = new JsonFactoryBuilder().disable(JsonFactory.Feature.INTERN_FIELD_NAMES).build();
    static final Value NULL = new Value(Kind.NULL, new byte[0], 0, 0);

    final Kind kind;
    final byte[] source;
    final int from;
    final int to;

    private Value(Kind kind, byte[] source, int from, int to) {
        this.kind = kind;
        this.source = source;
        this.from = from;
        this.to = to;
    }

    /** Reads the value that the parser stands at; {@code base} is where the parser's input begins in {@code source}. */
    static Value read(JsonParser parser, byte[] source, int base) throws IOException {
        Kind kind = kind(parser.currentToken());
        int from = base + (int) parser.currentTokenLocation().getByteOffset();
        if (kind == Kind.ARRAY || kind == Kind.OBJECT) {
            parser.skipChildren();
        } else {
            parser.finishToken();
        }
        return new Value(kind, source, from, base + (int) parser.currentLocation().getByteOffset());
    }

    /** Reads an object's members; of a key that comes twice the last value stands at the first one's place (E10). */
    static Map<String, Value> readMembers(JsonParser parser, byte[] source, int base) throws IOException {
        Map<String, Value> members = new LinkedHashMap<>(32);
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            parser.nextToken();
            members.put(name, read(parser, source, base));
        }
        return members;
    }

    /** Opens this object. */
    Map<String, Value> members() {
        try (JsonParser parser = JSON.createParser(source, from, to - from)) {
            parser.nextToken();
            return readMembers(parser, source, from);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    boolean isNull() {
        return kind == Kind.NULL;
    }

    boolean isScalar() {
        return kind != Kind.ARRAY && kind != Kind.OBJECT;
    }

    /** A string's characters, a number's source digits, true or false; null for what has no text. */
    String text() {
        return switch (kind) {
            case NUMBER, BOOLEAN -> new String(source, from, to - from, StandardCharsets.ISO_8859_1);
            case STRING -> string();
            case NULL, ARRAY, OBJECT -> null;
        };
    }

    /** This value as a JSON number (T8), null where it is none. */
    String number() {
        String text = text();
        return kind == Kind.NUMBER || text != null && isNumber(text) ? text : null;
    }

    /** This value as an integral JSON number (T8), null where it is none. */
    String integer() {
        String number = number();
        if (number == null || number.chars().allMatch(digit -> digit == '-' || digit >= '0' && digit <= '9')) {
            return number;
        }
        BigDecimal decimal = new BigDecimal(number).stripTrailingZeros();
        return decimal.scale() <= 0 ? decimal.toBigInteger().toString() : null;
    }

    private String string() {
        for (int index = from; index < to; index++) {
            if (source[index] == '\\') {
                return unescaped();
            }
        }
        return new String(source, from + 1, to - from - 2, StandardCharsets.UTF_8);
    }

    private String unescaped() {
        try (JsonParser parser = JSON.createParser(source, from, to - from)) {
            parser.nextToken();
            return parser.getText();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Whether JSON would take the text as a number. */
    private static boolean isNumber(String text) {
        try (JsonParser parser = JSON.createParser(text)) {
            boolean isNumeric = parser.nextToken() != null && parser.currentToken().isNumeric();
            return isNumeric && parser.getTextLength() == text.length();
        } catch (IOException error) {
            return false;
        }
    }

    private static Kind kind(JsonToken token) {
        return switch (token) {
            case VALUE_NULL -> Kind.NULL;
            case VALUE_TRUE, VALUE_FALSE -> Kind.BOOLEAN;
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> Kind.NUMBER;
            case VALUE_STRING -> Kind.STRING;
            case START_ARRAY -> Kind.ARRAY;
            case START_OBJECT -> Kind.OBJECT;
            default -> throw new IllegalStateException("no value begins with " + token);
        };
    }
}
