package peers;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.util.Arrays;

/** JSON bytes being written, in a buffer that is used again. */
final class Output {
    private final JsonStringEncoder encoder = JsonStringEncoder.getInstance();
    private byte[] bytes = new byte[4096];
    private int length;

    void clear() {
        length = 0;
    }

    byte[] toBytes() {
        return Arrays.copyOf(bytes, length);
    }

    /** Appends ASCII text as it is. */
    @SuppressWarnings("deprecation") // The call that copies ASCII without an encoder.
    Output raw(String text) {
        reserve(text.length());
        text.getBytes(0, text.length(), bytes, length);
        length += text.length();
        return this;
    }

    /** Appends a value's source bytes. */
    Output raw(Value value) {
        if (value.isNull()) {
            return raw("null");
        }
        int count = value.to - value.from;
        reserve(count);
        System.arraycopy(value.source, value.from, bytes, length, count);
        length += count;
        return this;
    }

    /** Appends text as a JSON string. */
    Output quoted(String text) {
        raw("\"");
        if (isPlain(text)) {
            raw(text);
        } else {
            byte[] quoted = encoder.quoteAsUTF8(text);
            reserve(quoted.length);
            System.arraycopy(quoted, 0, bytes, length, quoted.length);
            length += quoted.length;
        }
        return raw("\"");
    }

    /** Begins an object's member; the first has no comma before it. */
    Output key(String key) {
        byte last = bytes[length - 1];
        return raw(last == '{' ? "" : ",").quoted(key).raw(":");
    }

    private static boolean isPlain(String text) {
        for (int index = 0; index < text.length(); index++) {
            char character = text.charAt(index);
            if (character < ' ' || character > '~' || character == '"' || character == '\\') {
                return false;
            }
        }
        return true;
    }

    private void reserve(int count) {
        if (length + count > bytes.length) {
            bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, length + count));
        }
    }
}
