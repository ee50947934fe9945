//! Lag as Kafka's own tool tells it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const TOOL: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

/// Returns what `kafka-consumer-groups.sh --describe` has in its column LAG, by partition.
pub(crate) fn of_group(jars: &Path, brokers: &str, group: &str) -> BTreeMap<String, u64> {
    let done = Command::new("java")
        .args([
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            &format!("{}/*", jars.display()),
            TOOL,
        ])
        .args([
            "--bootstrap-server",
            brokers,
            "--describe",
            "--group",
            group,
        ])
        .output()
        .expect("java was found");
    let said = String::from_utf8_lossy(&done.stdout);
    let mut rows = said
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.len() > 5);
    let head = rows
        .next()
        .unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&done.stderr)));
    let column = |name: &str| {
        head.iter()
            .position(|title| *title == name)
            .unwrap_or_else(|| panic!("no {name}: {said}"))
    };
    let (partition, lag) = (column("PARTITION"), column("LAG"));
    rows.map(|row| {
        (
            row[partition].to_owned(),
            row[lag]
                .parse()
                .unwrap_or_else(|_| panic!("no lag: {said}")),
        )
    })
    .collect()
}
