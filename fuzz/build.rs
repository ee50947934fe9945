//! The link argument of groupcast's own build script, which Cargo does not pass on to those that link the crate.

fn main() {
    println!("cargo::rustc-link-arg=-Wl,--wrap=rd_kafka_lz4_decompress");
}
