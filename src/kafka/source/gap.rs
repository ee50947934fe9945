//! Positions outside their partition: retention was faster than we, or the topic was made anew.

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::lag::number;
use super::position::next_offset;
use super::{Assigned, Source};
use crate::config::OnGap;
use crate::kafka::REQUEST_TIMEOUT;
use crate::kafka::fault::{Call, Fault};
use crate::metrics;
use crate::watermark::Watermark;

impl Source {
    /// Does what [`Intake::mend_gaps`](crate::kafka::ends::Intake::mend_gaps) says.
    pub(super) fn close_gaps(&mut self) -> Result<Vec<Watermark>, Fault> {
        let positions = self.positions()?;
        let (lows, highs) = (self.edges(Offset::Beginning)?, self.edges(Offset::End)?);
        let mut gaps = Vec::new();
        for assigned in &self.partitions {
            let known = (
                next_offset(&positions, assigned),
                edge(&lows, assigned),
                edge(&highs, assigned),
            );
            // A partition that nobody leads has not told of a gap.
            let (Some(position), Some(low), Some(high)) = known else {
                continue;
            };
            if position < low || position > high {
                gaps.push(Gap {
                    topic: assigned.topic.clone(),
                    partition: assigned.partition,
                    position,
                    low,
                    high,
                });
            }
        }
        if self.on_gap == OnGap::Stop && !gaps.is_empty() {
            return Err(Fault::Fatal(gap_message(&gaps)));
        }
        self.skip(&gaps, &positions)?;
        // A replay's progress is its own.
        Ok(if self.pace.is_none() {
            gaps.into_iter().map(Gap::end).collect()
        } else {
            Vec::new()
        })
    }

    /// Asks where each partition begins or ends. One that has no leader tells so at once, and keeps no other waiting.
    fn edges(&self, edge: Offset) -> Result<TopicPartitionList, Fault> {
        let wanted = self.list(|_| edge)?;
        self.status
            .call("edges", || {
                self.consumer.offsets_for_times(wanted, REQUEST_TIMEOUT)
            })
            .map_err(|error| Fault::of(Call::Position, &error))
    }

    /// Goes on at the oldest record of each partition with a gap, and where it is in the others.
    fn skip(&mut self, gaps: &[Gap], positions: &TopicPartitionList) -> Result<(), Fault> {
        for gap in gaps {
            metrics::gap_skipped(
                &gap.topic,
                u64::try_from(gap.low - gap.position).unwrap_or_default(),
            );
            tracing::error!(
                topic = gap.topic,
                partition = gap.partition,
                from = gap.position,
                to = gap.low,
                end = gap.high,
                "the group's offset is outside its partition; going on at the oldest record"
            );
        }
        let offsets = self.list(|assigned| {
            let gap = gaps
                .iter()
                .find(|gap| gap.partition == assigned.partition && gap.topic == assigned.topic);
            let offset = gap
                .map(|gap| gap.low)
                .or_else(|| next_offset(positions, assigned));
            offset.map_or(assigned.start, Offset::Offset)
        })?;
        self.retry_blocks();
        self.reposition(&offsets)?;
        // Each partition tells of its own gap, and a partition of which nothing was read has no position but its start.
        for assigned in &mut self.partitions {
            let gap = gaps
                .iter()
                .find(|gap| gap.partition == assigned.partition && gap.topic == assigned.topic);
            assigned.start = gap.map_or(assigned.start, |gap| Offset::Offset(gap.low));
        }
        Ok(())
    }
}

/// Returns the offset that a partition's leader has told.
pub(super) fn edge(edges: &TopicPartitionList, assigned: &Assigned) -> Option<i64> {
    let found = edges.find_partition(&assigned.topic, assigned.partition)?;
    found.error().ok().and_then(|()| number(found.offset()))
}

/// A position outside its partition.
struct Gap {
    topic: String,
    partition: i32,
    position: i64,
    low: i64,
    high: i64,
}

impl Gap {
    fn end(self) -> Watermark {
        Watermark {
            topic: self.topic,
            partition: self.partition,
            next_offset: self.low,
        }
    }
}

fn gap_message(gaps: &[Gap]) -> String {
    let lines = gaps.iter().map(|gap| {
        let Gap { topic, partition, position, low, high } = gap;
        if position < low {
            format!("  {topic}/{partition}: offsets {position} to {} were deleted before they were read", low - 1)
        } else {
            format!(
                "  {topic}/{partition}: the group is at {position} and the partition ends at {high}; was the topic made anew?"
            )
        }
    });
    let lines: Vec<String> = lines.collect();
    format!(
        "committed offsets lie outside their partitions:\n{}\n  hint: source.on_gap: continue goes on at the oldest record",
        lines.join("\n")
    )
}
