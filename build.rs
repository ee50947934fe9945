//! Builds again when a definition comes or goes: they are embedded by folder. Has src/kafka/decompress.rs see each LZ4 batch.

fn main() {
    println!("cargo::rerun-if-changed=destinations");
    // A test that links librdkafka and not groupcast does not find that function: `use groupcast as _;`.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg=-Wl,--wrap=rd_kafka_lz4_decompress");
    }
}
