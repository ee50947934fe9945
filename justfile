# `just` lists what can be done here.

_default:
    @just --list

# The main job on an embedded broker, with sample events.
demo:
    cargo run --release -- demo

# The core's tests: seconds, and no Kafka client to build.
core *arguments:
    cargo test -p groupcast-core {{arguments}}

# The core's tests, the command line, the embedded cluster, and one run on a real Kafka: two to three minutes.
test *arguments:
    cargo test {{arguments}}

# All tests: some twenty minutes. What needs java, mvn, a Prometheus or a browser says so where it is skipped.
test-all *arguments:
    cargo test --workspace {{arguments}}

# What CI runs.
ci:
    .ci/run

# Pins the images of the Dockerfile and the compose file by digest; needs crane or docker, and registries that can be reached.
pin-images:
    deploy/pin-images

# Formatting and lints.
lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings

# The loop under many schedules of faults, in memory: some minutes.
model cases="40000":
    PROPTEST_CASES={{cases}} cargo test --lib worker::tests
    PROPTEST_CASES={{cases}} cargo test --package groupcast-core --lib send::lane::tests::whatever

# One million mixed events through real Kafka, checked record by record.
million:
    GROUPCAST_REQUIRE_KAFKA=1 GROUPCAST_EVENTS=1000000 cargo test --release --workspace --test broker mixed_events -- --nocapture

# Every metric, alert and panel moves in a real run, with the alerts' waits as they are: half an hour. The board's picture is drawn anew.
board:
    GROUPCAST_REQUIRE_KAFKA=1 GROUPCAST_REQUIRE_PROMETHEUS=1 GROUPCAST_BOARD=full GROUPCAST_PICTURES="$PWD/docs/images" \
        cargo test --workspace --test board -- --nocapture

# The most memory that a million events of 64 partitions take for forty destinations; some twenty minutes, and ten gigabytes of disk.
backlog:
    GROUPCAST_REQUIRE_KAFKA=1 GROUPCAST_EVENTS=1000000 GROUPCAST_PARTITIONS=64 cargo test --release --workspace --test memory -- --nocapture

# Every fault of docs/guarantees.md again and again, and the page's table anew. It takes hours; one at a time: `just chaos rolling-restart 10`.
chaos faults="all" runs="7" kills="15":
    GROUPCAST_REQUIRE_KAFKA=1 GROUPCAST_FAULTS={{faults}} GROUPCAST_RUNS={{runs}} GROUPCAST_KILLS={{kills}} \
        GROUPCAST_TABLE="$PWD/docs/guarantees.md" cargo test --release --workspace --test chaos every_fault -- --nocapture

# Instructions, time and allocations of each stage of an event's path; valgrind and gungraun-runner count the first.
bench:
    .ci/instructions
    cargo bench --bench time

# Rates, costs and latencies on a real Kafka, beside copying bytes and beside Kafka Streams; half an hour, on a quiet machine.
bench-kafka:
    GROUPCAST_TABLE=docs/performance.md cargo bench --bench kafka

# How cost grows with destinations, bytes, partitions, workers and processes, and how long a start takes; ten quiet minutes.
bench-growth:
    GROUPCAST_GROWTH=1 GROUPCAST_TABLE=docs/performance.md cargo bench --bench kafka

# What distance to the brokers costs, with one produce request under way and with five; ten quiet minutes.
bench-far:
    GROUPCAST_FAR=1 GROUPCAST_TABLE=docs/performance.md cargo bench --bench kafka

# Fuzzes each target for so many seconds; needs a nightly toolchain and cargo-fuzz. What it finds stands under fuzz/artifacts and crates/core/fuzz/artifacts.
fuzz seconds="60":
    .ci/fuzz {{seconds}}

# Changes the core in each small way, `just mutants crates/core/src/date.rs` one file of it, and tells which change no test notices; needs cargo-mutants.
mutants *files:
    .ci/mutants {{files}}

# Fetches what vendors publish about their APIs for machines, and holds our descriptions of what they take to it.
vendor-schemas:
    .ci/vendor-schemas
