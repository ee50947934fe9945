//! Builds again when a definition comes or goes: they are embedded by folder.

fn main() {
    println!("cargo::rerun-if-changed=destinations");
}
