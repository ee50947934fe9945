//! The families are an interface: their page in `docs` is made of the table, and the page that is served holds nothing else.

use std::fmt::Write;
use std::fs;

use groupcast::metrics::family::{Family, SECTIONS};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

const INTRODUCTION: &str = "# Metrics\n\n\
    `/metrics` of `http.listen` serves these in Prometheus' text format. The names are an interface: a change is in the\n\
    changelog. Units are seconds and bytes. Labels are closed sets: topics, partitions, workers, destinations and brokers as\n\
    configured, codes from a fixed list; nothing that an event says becomes a label. A series of a partition is there while\n\
    the partition is assigned here, and gone after a revoke; sum over all processes of a group. It stays while the worker\n\
    opens a new consumer. Those of an audit are not served: `groupcast audit --metrics-file` writes them ([audit.md](audit.md)).\n\n\
    Events are counted once an epoch, when it is committed: what was undone and done again counts once. Dead letters by\n\
    reason, rewinds by cause and skipped offsets are series from the start, at 0; the others from their first count on.\n\n\
    This page is generated: `UPDATE_GOLDEN=1 cargo test --test metrics`.\n";

#[test]
fn the_page_in_docs_lists_every_family() {
    let mut text = INTRODUCTION.to_owned();
    for (title, families) in SECTIONS {
        write!(
            text,
            "\n## {title}\n\n| name | kind | labels | says |\n|---|---|---|---|\n"
        )
        .unwrap();
        for Family {
            name,
            kind,
            labels,
            help,
        } in *families
        {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(
                text,
                "| `{name}` | {} | {} | {help} |",
                kind.word(),
                labels.join(" ")
            )
            .unwrap();
        }
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(FILE, &text).unwrap();
    }
    assert!(
        fs::read_to_string(FILE).unwrap() == text,
        "docs/metrics.md is not up to date: UPDATE_GOLDEN=1 cargo test --test metrics"
    );
}

#[test]
fn names_follow_the_conventions() {
    for Family {
        name, kind, help, ..
    } in SECTIONS.iter().flat_map(|(_, families)| *families)
    {
        assert_eq!(name.ends_with("_total"), kind.word() == "counter", "{name}");
        assert!(
            kind.word() != "histogram" || name.ends_with("_seconds"),
            "{name}"
        );
        assert!(
            name.starts_with("groupcast_") || name.starts_with("process_"),
            "{name}"
        );
        assert!(
            !help.ends_with('.') && !help.contains('\n') && !help.contains('\\'),
            "{name}: {help}"
        );
    }
}
