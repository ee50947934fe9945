//! What librdkafka says of itself once a second: the few figures of its statistics that are used here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Deserialize;

/// One client's figures at one moment.
#[derive(Debug, Default, Deserialize)]
pub struct Report {
    /// Bytes that a producer holds.
    #[serde(default)]
    pub msg_size: u64,
    /// Bytes that a producer may hold.
    #[serde(default)]
    pub msg_size_max: u64,
    /// The brokers by their addresses.
    #[serde(default)]
    pub brokers: HashMap<String, Broker>,
    /// The topics by name.
    #[serde(default)]
    topics: HashMap<String, Topic>,
}

/// A client's connection to a broker.
#[derive(Debug, Deserialize)]
pub struct Broker {
    /// The broker's id, below zero for an address whose broker is not known yet.
    pub nodeid: i32,
    /// `UP` while it is connected.
    pub state: String,
    /// How the client came to know it: `configured`, `learned`, or `logical` for a coordinator, which is one of the others.
    #[serde(default)]
    source: String,
    /// Microseconds since something last came from it, below zero before.
    #[serde(default)]
    pub rxidle: i64,
    /// Requests that were not answered in time.
    #[serde(default)]
    pub req_timeouts: u64,
    /// Microseconds that requests took.
    #[serde(default)]
    pub rtt: Window,
    /// Milliseconds that quotas had us wait.
    #[serde(default)]
    pub throttle: Window,
}

/// A distribution over the last interval.
#[derive(Debug, Default, Deserialize)]
pub struct Window {
    /// Its mean.
    pub avg: i64,
    /// Its 99th percentile.
    pub p99: i64,
}

#[derive(Debug, Default, Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: HashMap<String, Partition>,
}

/// A consumer's partition.
#[derive(Debug, Deserialize)]
pub struct Partition {
    /// Records that are fetched and not read; of all partitions together, since they share a queue.
    pub fetchq_cnt: i64,
    /// The same in bytes.
    pub fetchq_size: u64,
    /// `active` while it is fetched.
    pub fetch_state: String,
    /// The offset to be fetched next.
    pub next_offset: i64,
    /// The broker that leads it, below zero where none does.
    pub leader: i32,
    /// The broker that it is fetched from, below zero where that is none.
    pub broker: i32,
    /// Up to where no transaction is open, as the last fetch told it; below zero before.
    pub ls_offset: i64,
}

impl Report {
    /// Returns a partition's figures.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        self.topics
            .get(topic)?
            .partitions
            .get(&partition.to_string())
    }

    /// Returns whether the client knows any broker that it could ask for the others. One that does not never finds one again:
    /// told by a broker of no brokers at all, as one tells that has just lost its controller, it forgets the configured ones
    /// too (librdkafka issue 5301).
    #[must_use]
    pub fn knows_a_broker(&self) -> bool {
        self.brokers
            .values()
            .any(|broker| broker.source != "logical")
    }

    /// Returns the records that a consumer has fetched and not handed out.
    #[must_use]
    pub fn fetched_records(&self) -> i64 {
        let partitions = self
            .topics
            .values()
            .flat_map(|topic| topic.partitions.values());
        partitions
            .map(|partition| partition.fetchq_cnt)
            .max()
            .unwrap_or_default()
    }

    /// Returns the bytes that a consumer has fetched and not handed out.
    #[must_use]
    pub fn fetched_bytes(&self) -> u64 {
        let partitions = self
            .topics
            .values()
            .flat_map(|topic| topic.partitions.values());
        partitions
            .map(|partition| partition.fetchq_size)
            .max()
            .unwrap_or_default()
    }
}

impl Partition {
    /// Returns the offset before which everything was handed out, where nothing waits to be. A batch that compaction has
    /// emptied moves no position, and neither does a partition of which nothing was read yet.
    #[must_use]
    pub fn handed_out(&self) -> Option<i64> {
        Some(self.next_offset).filter(|next| self.fetchq_cnt == 0 && *next >= 0)
    }
}

/// A client's statistics: put here by its callback as they come, read off a record's path.
#[derive(Debug, Default)]
pub struct Reports {
    posted: Mutex<Option<(Instant, Vec<u8>)>>,
    latest: Mutex<Option<(Instant, Arc<Report>)>>,
}

impl Reports {
    /// Puts a report where [`Reports::read`] finds it.
    pub fn post(&self, json: &[u8]) {
        *self.posted.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), json.to_vec()));
    }

    /// Reads what was posted last, if that is new.
    pub fn read(&self) {
        let Some((at, json)) = self
            .posted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        else {
            return;
        };
        match serde_json::from_slice(&json) {
            Ok(report) => {
                *self.latest.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((at, Arc::new(report)))
            }
            Err(error) => tracing::debug!(error = %error, "the client's statistics cannot be read"),
        }
    }

    /// Returns the last report and when it came.
    #[must_use]
    pub fn latest(&self) -> Option<(Instant, Arc<Report>)> {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Forgets everything: the client is closed.
    pub fn clear(&self) {
        *self.posted.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(fetchq_cnt: i64, next_offset: i64) -> Partition {
        let fetch_state = "active".to_owned();
        Partition {
            fetchq_cnt,
            fetchq_size: 0,
            fetch_state,
            next_offset,
            leader: 1,
            broker: 1,
            ls_offset: 20,
        }
    }

    #[test]
    fn all_is_handed_out_where_nothing_waits() {
        assert_eq!(partition(0, 12).handed_out(), Some(12));
        assert_eq!(partition(3, 15).handed_out(), None, "records wait");
        assert_eq!(
            partition(0, -1001).handed_out(),
            None,
            "it is not known where reading begins"
        );
    }

    #[test]
    fn a_coordinator_is_no_broker_to_begin_with() {
        let knows = |brokers: &str| {
            let report: Report =
                serde_json::from_str(&format!(r#"{{"brokers":{{{brokers}}}}}"#)).unwrap();
            report.knows_a_broker()
        };
        let logical = r#""GroupCoordinator":{"nodeid":1,"state":"DOWN","source":"logical"}"#;
        assert!(!knows("") && !knows(logical));
        assert!(knows(&format!(
            r#"{logical},"b:1/1":{{"nodeid":1,"state":"DOWN","source":"learned"}}"#
        )));
        assert!(knows(
            r#""b:1/bootstrap":{"nodeid":-1,"state":"INIT","source":"configured"}"#
        ));
    }

    #[test]
    fn what_is_posted_is_read_and_forgotten() {
        let reports = Reports::default();
        reports.post(br#"{"msg_size":5,"brokers":{"b:1/1":{"nodeid":1,"state":"UP","rtt":{"avg":2,"p99":9,"x":1}}},"topics":{"a":{"partitions":{"0":{"fetchq_cnt":0,"fetchq_size":7,"fetch_state":"active","next_offset":3,"leader":1,"broker":1,"ls_offset":3}}}},"more":[1]}"#);
        assert!(reports.latest().is_none());
        reports.read();
        let (_, report) = reports.latest().unwrap();
        assert_eq!((report.msg_size, report.fetched_bytes()), (5, 7));
        assert_eq!(
            report.brokers.get("b:1/1").map(|broker| broker.rtt.p99),
            Some(9)
        );
        assert!(report.partition("a", 0).is_some() && report.partition("a", 1).is_none());
        reports.clear();
        assert!(reports.latest().is_none());
    }
}
