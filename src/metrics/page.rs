//! What is known at the moment of a scrape, in Prometheus' text format. A series that is not said again is gone.

use std::fmt::Write;

use super::family::{self, Family};

/// The families that are made anew for each scrape.
#[derive(Default)]
pub struct Page {
    families: Vec<(Family, String)>,
}

impl Page {
    /// Says a value. `labels` are the values of the family's labels, in its order.
    pub fn say(&mut self, family: Family, labels: &[&str], value: f64) {
        let named: Vec<(&str, &str)> = family
            .labels
            .iter()
            .copied()
            .zip(labels.iter().copied())
            .collect();
        self.line(family, "", &named, value);
    }

    /// Says a line of a histogram: `suffix` is `_bucket`, `_sum` or `_count`.
    pub(super) fn line(
        &mut self,
        family: Family,
        suffix: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        let index = self
            .families
            .iter()
            .position(|(known, _)| known.name == family.name);
        let index = index.unwrap_or(self.families.len());
        if index == self.families.len() {
            self.families.push((family, String::new()));
        }
        let Some((Family { name, .. }, lines)) = self.families.get_mut(index) else {
            return;
        };
        lines.push_str(name);
        lines.push_str(suffix);
        for (index, (label, value)) in labels.iter().enumerate() {
            lines.push(if index == 0 { '{' } else { ',' });
            lines.push_str(label);
            lines.push_str("=\"");
            escape(value, lines);
            lines.push('"');
        }
        if !labels.is_empty() {
            lines.push('}');
        }
        // Writing to a string cannot fail.
        writeln!(lines, " {value}").unwrap_or_default();
    }

    /// Returns all that was said, each family in one piece.
    #[must_use]
    pub fn into_text(self) -> String {
        let mut text = String::new();
        for (
            Family {
                name, kind, help, ..
            },
            lines,
        ) in self.families
        {
            write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {}\n{lines}\n",
                kind.word()
            )
            .unwrap_or_default();
        }
        text
    }

    /// Says what the system knows of this process; nothing of what it does not tell.
    pub fn say_process(&mut self) {
        let found = metrics_process::collector::collect();
        let whole = |number: Option<u64>| number.map(approximately);
        for (family, value) in [
            (family::CPU, found.cpu_seconds_total),
            (family::OPEN_FILES, whole(found.open_fds)),
            (family::MAX_FILES, whole(found.max_fds)),
            (family::MEMORY, whole(found.resident_memory_bytes)),
            (family::VIRTUAL_MEMORY, whole(found.virtual_memory_bytes)),
            (family::START_TIME, whole(found.start_time_seconds)),
            (family::THREADS, whole(found.threads)),
        ] {
            if let Some(value) = value {
                self.say(family, &[], value);
            }
        }
    }
}

fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            _ => out.push(character),
        }
    }
}

/// Returns the nearest number that Prometheus can hold: exact to 2^53.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "what is counted here stays far below 2^53"
)]
pub fn approximately(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_in_one_piece_and_labels_are_escaped() {
        let mut page = Page::default();
        page.say(family::LAG, &["a\"\\\n", "0"], 3.0);
        page.say(family::READY, &[], 1.0);
        page.say(family::LAG, &["b", "1"], 0.5);
        let expected = format!(
            "# HELP groupcast_consumer_lag_records {}\n# TYPE groupcast_consumer_lag_records gauge\n\
             groupcast_consumer_lag_records{{topic=\"a\\\"\\\\\\n\",partition=\"0\"}} 3\n\
             groupcast_consumer_lag_records{{topic=\"b\",partition=\"1\"}} 0.5\n\n\
             # HELP groupcast_ready 1 while /readyz says ok\n# TYPE groupcast_ready gauge\ngroupcast_ready 1\n\n",
            family::LAG.help
        );
        assert_eq!(page.into_text(), expected);
    }
}
