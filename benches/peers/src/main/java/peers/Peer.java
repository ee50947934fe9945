package peers;

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;

/**
 * What groupcast does for five destinations, on Kafka Streams: one sub-topology, one processor, a sink a destination.
 *
 * <p>It does the rules that the benchmarks' events exercise: group calls and their ids, folded and reserved traits, who
 * wins where spellings meet, addresses from objects and flat parts, types, dates, nulls, flags, the envelope and its id.
 * It has no dead letters (what is no group call is dropped), no limits, metrics of its own, notes or settings, no keys
 * {@code address.city}, addresses that are text or null, dates with exponents or before 1970, or {@code replay}; it
 * knows the flags of its five destinations only.
 *
 * <p>Values are read with Jackson's streaming parser and leave as the bytes they came in, as groupcast's do.
 *
 * <p>Arguments: brokers, source topic, prefix of the output topics, application id, guarantee, folder for state.
 */
public final class Peer {
    private Peer() {}

    public static void main(String[] arguments) throws InterruptedException {
        String source = arguments[1];
        String prefix = arguments[2];
        Topology topology = new Topology();
        topology.addSource("source", new ByteArrayDeserializer(), new ByteArrayDeserializer(), source);
        topology.addProcessor("fan-out", FanOut::new, "source");
        for (FanOut.Named named : FanOut.DESTINATIONS) {
            String topic = prefix + '.' + named.name();
            topology.addSink(named.name(), topic, new ByteArraySerializer(), new ByteArraySerializer(), "fan-out");
        }
        run(new KafkaStreams(topology, properties(arguments)));
    }

    private static void run(KafkaStreams streams) throws InterruptedException {
        CountDownLatch end = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            end.countDown();
        }));
        streams.start();
        end.await();
    }

    private static Properties properties(String[] arguments) {
        Properties properties = new Properties();
        properties.putAll(Map.of(
                StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0],
                StreamsConfig.APPLICATION_ID_CONFIG, arguments[3],
                StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[4],
                StreamsConfig.STATE_DIR_CONFIG, arguments[5],
                StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2,
                // As often as groupcast's epochs, so that a crash repeats as much; it is the default of exactly once.
                StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100));
        // More than the default of 1000 for fewer turns of the loop, larger fetches, and no wait for a full one.
        properties.putAll(Map.of(
                StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest",
                StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000,
                StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MIN_BYTES_CONFIG), 65_536,
                StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG), 50));
        // groupcast's: no compression, batches up to the topic's limit, 5 ms.
        properties.putAll(Map.of(
                StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all",
                StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "none",
                StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5,
                StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 1_000_000,
                StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 134_217_728L));
        return properties;
    }
}
