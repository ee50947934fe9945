package peers;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/** One group call (E). */
final class Event {
    final Map<String, Value> members;
    final Traits traits;
    final Value groupId;
    final Value userId;
    final Value anonymousId;

    private Event(Map<String, Value> members, Map<String, Value> traits) {
        this.members = members;
        this.traits = new Traits(traits);
        groupId = id(members.get("groupId"));
        userId = id(members.get("userId"));
        anonymousId = id(members.get("anonymousId"));
    }

    /** Reads one event; null where the record is no group call with a group's id. */
    static Event read(byte[] source) throws IOException {
        Map<String, Value> members = new LinkedHashMap<>(32);
        Map<String, Value> traits = Map.of();
        try (JsonParser parser = Value.JSON.createParser(source)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                return null;
            }
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                if (parser.nextToken() == JsonToken.START_OBJECT && name.equals("traits")) {
                    traits = Value.readMembers(parser, source, 0);
                    members.put(name, Value.NULL);
                } else {
                    members.put(name, Value.read(parser, source, 0));
                }
            }
        }
        Value type = members.get("type");
        boolean isGroup = type != null && type.kind == Value.Kind.STRING && type.text().equals("group");
        Event event = isGroup ? new Event(members, traits) : null;
        return event == null || event.groupId == null ? null : event;
    }

    /** A string that is not empty, or a number (E3, E4). */
    private static Value id(Value value) {
        boolean isId = value != null && (value.kind == Value.Kind.NUMBER || value.kind == Value.Kind.STRING && value.to - value.from > 2);
        return isId ? value : null;
    }
}
