//! The families are an interface: their page in `docs` is made of the table, and the page that is served holds nothing else.

use std::fmt::Write;
use std::fs;

use groupcast::metrics::family::{Family, SECTIONS};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

const INTRODUCTION: &str = "# Metrics\n\n\
    `/metrics` of `http.listen` serves these metrics in Prometheus' text format. Names, labels and units are an interface: a\n\
    change is in the changelog.\n\n\
    - **Units** are seconds and bytes.\n\
    - **Labels** are closed sets: topics, partitions, workers, destinations and brokers as configured, and codes from a fixed\n\
      list. Nothing from an event becomes a label.\n\
    - **Events** are counted when their epoch is committed. An epoch that is rolled back and sent again counts once.\n\
    - **A partition's series** exists while the partition is assigned to this process, also while the worker opens a new\n\
      consumer. For a group's total, sum over all its processes.\n\
    - **Series at 0:** dead letters by reason, rewinds by cause and skipped offsets exist from the start, at 0. The others\n\
      exist from their first count on.\n\
    - **An audit's metrics** are not served: `groupcast audit --metrics-file` writes them ([audit.md](audit.md)).\n\n\
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
