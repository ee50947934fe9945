package peers;

import java.io.IOException;
import java.util.List;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/** One event in, each destination's records out to the sink of its name. */
final class FanOut extends ContextualProcessor<byte[], byte[], byte[], byte[]> implements Destination.Records {
    /** A destination as flags name it, and what it writes. */
    record Named(String name, Destination destination, String... flags) {}

    /** groupcast's benchmarks have the same five, in this order and with the same settings. */
    static final List<Named> DESTINATIONS = List.of(
            new Named("mixpanel", Destinations::mixpanel, "Mixpanel", "Mixpanel (Actions)", "Actions Mixpanel", "Mixpanel (Legacy)", "MP"),
            new Named("hubspot", Destinations::hubspot, "HubSpot", "HubSpot Cloud Mode (Actions)", "Hubspot Cloud Mode (Actions)",
                    "HubSpot Cloud-Mode (Actions)", "HubSpot (Actions)", "Actions Hubspot Cloud", "Hubspot", "HS"),
            new Named("customerio", Destinations::customerio, "Customer.io", "Customer.io (Actions)", "Customer.io Actions",
                    "Actions Customerio", "Customerio"),
            new Named("intercom", Destinations::intercom, "Intercom", "Intercom Cloud Mode (Actions)", "Intercom (Actions)",
                    "Intercom Cloud (Actions)", "Actions Intercom Cloud", "Intercom v2"),
            new Named("webhook", Destinations::webhook, "Webhooks", "Webhook", "Webhooks (Actions)", "Actions Webhook",
                    "Actions Webhooks", "Extensible Webhook", "Extensible Webhooks"));

    private final Flags flags = new Flags(DESTINATIONS.stream().map(Named::flags).toArray(String[][]::new));
    private final Output out = new Output();
    private String position;
    private String destination;
    private byte[] key;
    private long now;

    @Override
    public void process(Record<byte[], byte[]> record) {
        Event event = record.value() == null ? null : read(record.value());
        if (event == null) {
            return;
        }
        RecordMetadata metadata = context().recordMetadata().orElseThrow();
        position = metadata.topic() + '/' + metadata.partition() + '/' + metadata.offset() + '/' + record.timestamp() + '/';
        key = event.groupId.text().getBytes(java.nio.charset.StandardCharsets.UTF_8);
        now = System.currentTimeMillis();
        boolean[] included = flags.included(event.members.get("integrations"));
        for (int index = 0; index < included.length; index++) {
            if (included[index]) {
                destination = DESTINATIONS.get(index).name;
                DESTINATIONS.get(index).destination.write(event, this);
            }
        }
    }

    private static Event read(byte[] value) {
        try {
            return Event.read(value);
        } catch (IOException error) {
            return null;
        }
    }

    @Override
    public Output begin(String operation, String request) {
        out.clear();
        out.raw("{\"specversion\":\"1.0\",\"id\":\"").raw(position).raw(destination).raw("/").raw(operation);
        out.raw("\",\"source\":\"groupcast\",\"type\":\"").raw(destination).raw(".").raw(operation);
        return out.raw("\",\"request\":\"").raw(request).raw("\",\"data\":");
    }

    @Override
    public void end() {
        context().forward(new Record<>(key, out.raw("}").toBytes(), now), destination);
    }
}
