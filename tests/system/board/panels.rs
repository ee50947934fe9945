//! The board's panels and their queries, with the variables filled in as Grafana does.

use std::fs;

use serde_json::Value;

const BOARD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/grafana/groupcast.json"
);

/// One query of a panel.
pub(crate) struct Query {
    pub(crate) panel: String,
    pub(crate) expression: String,
}

/// Returns every query of the board, for all jobs and instances.
pub(crate) fn queries(scrape_seconds: u32) -> Vec<Query> {
    let board: Value =
        serde_json::from_str(&fs::read_to_string(BOARD).expect("the board is there"))
            .expect("it is JSON");
    // Four scrapes, as Grafana takes it where a screen has enough points.
    let rate_interval = format!("{}s", 4 * scrape_seconds);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().expect("a list of panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = text(&target["expr"])
                .replace("$job", ".*")
                .replace("$instance", ".*");
            let expression = expression.replace("$__rate_interval", &rate_interval);
            assert!(
                !expression.contains('$'),
                "a variable that is not filled in: {expression}"
            );
            queries.push(Query {
                panel: text(&panel["title"]),
                expression,
            });
        }
    }
    queries
}
