//! What people say on the command line: limits, rates, names.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::cli::position;
use crate::cli::report::Failure;
use crate::config::Log;
use crate::kafka::range::Limit;
use crate::kafka::source::bound::Rate;

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moment {
    Beginning,
    Now,
    At(Timestamp),
    /// How long before now.
    Ago(String),
    Offset(String, i32, i64),
}

impl Moment {
    pub(crate) fn parse(text: &str) -> Result<Moment, String> {
        match text {
            "beginning" => return Ok(Moment::Beginning),
            "now" => return Ok(Moment::Now),
            _ => {}
        }
        if text.contains('/') {
            return position(text)
                .map(|(topic, partition, offset)| Moment::Offset(topic, partition, offset));
        }
        if let Ok(timestamp) = text.parse() {
            return Ok(Moment::At(timestamp));
        }
        match before_now(text) {
            Some(_) => Ok(Moment::Ago(text.to_owned())),
            None => {
                Err("expected a time like 2026-11-01T00:00:00Z, 2h or 3d, topic/partition/offset, beginning or now".to_owned())
            }
        }
    }
}

/// Returns the time that lies so long before now: `2h`, `3d`.
pub(crate) fn before_now(text: &str) -> Option<Timestamp> {
    let ago: Span = text.parse().ok()?;
    Timestamp::now()
        .to_zoned_datetime(TimeZone::UTC)
        .checked_sub(ago.abs())
        .ok()
        .map(|zoned| zoned.timestamp())
}

/// Returns the limit that several values of one argument mean together.
pub(crate) fn limit(argument: &str, moments: &[Moment]) -> Result<Limit, Failure> {
    let offsets: Vec<(String, i32, i64)> = moments
        .iter()
        .filter_map(|moment| match moment {
            Moment::Offset(topic, partition, offset) => Some((topic.clone(), *partition, *offset)),
            Moment::Beginning | Moment::Now | Moment::At(_) | Moment::Ago(_) => None,
        })
        .collect();
    match moments {
        [Moment::Beginning] => Ok(Limit::Beginning),
        [Moment::Now] => Ok(Limit::Now),
        [Moment::At(time)] => Ok(Limit::Time(time.as_millisecond())),
        [Moment::Ago(text)] => Ok(
            before_now(text).map_or(Limit::Beginning, |time| Limit::Time(time.as_millisecond()))
        ),
        moments if offsets.len() == moments.len() => Ok(Limit::Offsets(offsets)),
        _ => Err(Failure::Argument(format!(
            "{argument} can be given more than once with offsets only"
        ))),
    }
}

/// What a number of bytes a second may end in.
const UNITS: [(&str, f64); 6] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("B", 1.0),
];

/// Reads `500` (events a second) or `2MB` (bytes a second).
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    let text = text.strip_suffix("/s").unwrap_or(text);
    let unit = UNITS
        .iter()
        .find_map(|(unit, bytes)| text.strip_suffix(unit).map(|number| (number, bytes)));
    let number = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite() && *number >= 1.0)
    };
    let rate = match unit {
        Some((text, bytes)) => number(text).map(|number| Rate::Bytes(number * bytes)),
        None => number(text).map(Rate::Records),
    };
    rate.ok_or_else(|| {
        "expected events a second like 500, or bytes like 2MB, at least one".to_owned()
    })
}

/// Reads a name that can be part of a group's.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > 100 || !text.bytes().all(is_plain) {
        return Err("expected 1 to 100 letters, digits, `.`, `_` or `-`".to_owned());
    }
    Ok(text.to_owned())
}

/// Returns the log's settings with less said: what a service logs at `info` is on the screen of a command anyhow.
pub(super) fn quieter(log: &Log) -> Log {
    let level = if log.level == "info" {
        "warn".to_owned()
    } else {
        log.level.clone()
    };
    Log {
        level,
        ..log.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_moments() {
        assert_eq!(Moment::parse("now"), Ok(Moment::Now));
        assert_eq!(
            Moment::parse("a/0/7"),
            Ok(Moment::Offset("a".to_owned(), 0, 7))
        );
        assert_eq!(
            Moment::parse("1970-01-01T00:00:01Z"),
            Ok(Moment::At(Timestamp::from_second(1).unwrap()))
        );
        assert_eq!(
            Moment::parse("1970-01-01T01:00:01+01:00"),
            Ok(Moment::At(Timestamp::from_second(1).unwrap()))
        );
        for (text, hours) in [("2h", 2), ("3d", 72), ("1d 90m", 25)] {
            assert_eq!(Moment::parse(text), Ok(Moment::Ago(text.to_owned())));
            let then = before_now(text).unwrap();
            let ago = Timestamp::now().duration_since(then);
            assert_eq!(ago.as_hours(), hours, "{text}");
        }
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "a/b", "a/0/x"] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn several_limits_are_offsets() {
        let offset = |partition| Moment::Offset("a".to_owned(), partition, 5);
        let Ok(Limit::Offsets(offsets)) = limit("--from", &[offset(0), offset(1)]) else {
            panic!("offsets")
        };
        assert_eq!(offsets.len(), 2);
        assert!(limit("--from", &[offset(0), Moment::Now]).is_err());
        assert!(limit("--from", &[Moment::Beginning, Moment::Now]).is_err());
    }

    #[test]
    fn reads_rates() {
        assert_eq!(rate("500"), Ok(Rate::Records(500.0)));
        assert_eq!(rate("2MB/s"), Ok(Rate::Bytes(2e6)));
        assert_eq!(rate("1 KiB"), Ok(Rate::Bytes(1024.0)));
        for text in ["", "0", "-1", "NaN", "inf", "2 TB", "MB"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_plain() {
        assert_eq!(
            name("backfill-2026.11_a"),
            Ok("backfill-2026.11_a".to_owned())
        );
        for text in ["", "a b", "a/b", "ä", &"x".repeat(101)] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
