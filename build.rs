//! Has src/kafka/decompress.rs see each LZ4 batch. tests/system, which builds the program too, uses this file as well.

fn main() {
    println!("cargo::rerun-if-env-changed=CARGO_CFG_TARGET_OS");
    // A test that links librdkafka and not groupcast does not find that function: `use groupcast as _;`.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-link-arg=-Wl,--wrap=rd_kafka_lz4_decompress");
    }
}
