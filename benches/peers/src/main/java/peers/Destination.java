package peers;

/** One destination: the operations that it makes of an event. */
interface Destination {
    /** Hands over each operation's record in order. */
    void write(Event event, Records records);

    /** Takes records; what stands around a body is its business. */
    interface Records {
        /** Begins a record; its body goes into what is returned. */
        Output begin(String operation, String request);

        /** Ends the record that was begun. */
        void end();
    }

    /** Writes a string member, a number as its digits; null goes by {@code onNull}, which is null for nothing at all. */
    static void text(Output out, String key, Value value, String onNull) {
        if (value == null || !value.isScalar()) {
            return;
        }
        if (value.isNull()) {
            constant(out, key, onNull);
        } else if (value.kind == Value.Kind.STRING) {
            out.key(key).raw(value);
        } else {
            out.key(key).quoted(value.text());
        }
    }

    /** Writes an integer member. */
    static void integer(Output out, String key, Value value, String onNull) {
        number(out, key, value, value == null ? null : value.integer(), onNull);
    }

    /** Writes a number member. */
    static void number(Output out, String key, Value value, String onNull) {
        number(out, key, value, value == null ? null : value.number(), onNull);
    }

    private static void number(Output out, String key, Value value, String number, String onNull) {
        if (number != null) {
            out.key(key).raw(number);
        } else if (value != null && value.isNull()) {
            constant(out, key, onNull);
        }
    }

    /** Writes JSON that is the same each time. */
    static void constant(Output out, String key, String json) {
        if (json != null) {
            out.key(key).raw(json);
        }
    }

    /** Writes a date in whole Unix seconds. */
    static void seconds(Output out, String key, Value value, String onNull) {
        Dates date = Dates.read(value);
        if (date != null) {
            out.key(key).raw(Long.toString(date.seconds()));
        } else if (value != null && value.isNull()) {
            constant(out, key, onNull);
        }
    }

    /** Writes an id as a string. */
    static Output id(Output out, Value id) {
        return id.kind == Value.Kind.STRING ? out.raw(id) : out.quoted(id.text());
    }

    /** Writes a trait as whole maps have it. */
    static void whole(Output out, Traits.Trait trait) {
        out.key(trait.name);
        if (trait.parts == null) {
            out.raw(trait.value);
            return;
        }
        out.raw("{");
        trait.parts.forEach((name, value) -> out.key(name).raw(value));
        out.raw("}");
    }
}
