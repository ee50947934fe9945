//! `groupcast audit` as a program asks it, beside what the checker has found of the same run.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::PROGRAM;
use super::checker::{Excuses, Report, Tally};
use super::kafka::free_port;
use super::worker::Setup;

/// What an audit has said.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) code: Option<i32>,
    pub(crate) said: Value,
    pub(crate) complaint: String,
}

impl Audit {
    /// Audits what the group of `setup` has committed, or whatever the arguments say.
    pub(crate) fn of(setup: &Setup, arguments: &[&str]) -> Audit {
        let output = Command::new(PROGRAM)
            .args(["audit", "--json", "--config"])
            .arg(setup.write(free_port()))
            .args(arguments)
            .output()
            .expect("the program is built");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        Audit {
            code: output.status.code(),
            said: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            complaint,
        }
    }

    /// Returns a count of one topic, by its whole name.
    pub(crate) fn count(&self, topic: &str, what: &str) -> u64 {
        let topics = self.said["topics"].as_array().into_iter().flatten();
        let found = topics
            .clone()
            .find(|found| found["topic"] == topic)
            .unwrap_or_else(|| panic!("nothing is said of {topic}: {self:?}"));
        found[what].as_u64().expect("a count")
    }

    /// Returns a count of all topics.
    pub(crate) fn total(&self, what: &str) -> u64 {
        self.said["total"][what]
            .as_u64()
            .unwrap_or_else(|| panic!("no count {what}: {self:?}"))
    }

    /// Returns what was found of a kind: id and place, each where there is one.
    pub(crate) fn findings(&self, kind: &str) -> Vec<(Option<String>, Option<String>)> {
        let topics = self.said["topics"].as_array().into_iter().flatten();
        let findings = topics.flat_map(|topic| topic["findings"].as_array().into_iter().flatten());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        findings
            .filter(|finding| finding["finding"] == kind)
            .map(|finding| (text(&finding["id"]), text(&finding["at"])))
            .collect()
    }

    /// Returns how it differs from the checker, which found nothing different or not due, nor out of order unless that is excused.
    pub(crate) fn fault(&self, report: &Report, prefix: &str, excuses: &Excuses) -> Option<String> {
        let tally = |topic: &&'static str| {
            let topic = format!("{prefix}.{topic}");
            Tally {
                due: self.count(&topic, "due"),
                found: self.count(&topic, "found"),
                repeated: self.count(&topic, "repeated"),
            }
        };
        let counted: BTreeMap<&str, Tally> = report
            .topics
            .keys()
            .map(|topic| (*topic, tally(topic)))
            .collect();
        let is_missing = report.topics.values().any(|tally| tally.due > tally.found);
        if counted != report.topics || self.code != Some(i32::from(is_missing)) {
            return Some(format!(
                "the checker counts {:?}, the audit {self:?}",
                report.topics
            ));
        }
        // A topic that was recreated can begin out of order.
        let n_kinds = if excuses.deleted.is_some() { 3 } else { 4 };
        ["different", "not_due", "not_judged", "out_of_order"]
            .into_iter()
            .take(n_kinds)
            .find(|kind| self.total(kind) > 0)
            .map(|kind| format!("the audit finds {kind}, the checker does not: {self:?}"))
    }
}
