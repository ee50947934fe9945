//! How long an answer says to wait. Vendors say it in at least eight ways; a definition says which are its vendor's.

use std::time::Duration;

use jiff::fmt::rfc2822;
use serde_json::Value;

use crate::destination::send::{Wait, WaitForm, WaitPlace};

use super::answer::Answer;

/// Returns how long from its arrival an answer that throttles says to wait: the longest of what it says in the ways that
/// are the vendor's, and in `Retry-After`, which anything between us and the vendor may send. What cannot be read says
/// nothing.
#[must_use]
pub fn told(waits: &[Wait], answer: &Answer<'_>, body: &Value) -> Option<Duration> {
    let now = Now::of(answer);
    let by_definition = waits.iter().filter_map(|wait| {
        let text = match &wait.place {
            WaitPlace::Header(name) => answer.header(name)?.to_owned(),
            WaitPlace::Body(pointer) => text_of(body.pointer(pointer)?)?,
        };
        now.wait(wait.form, text.trim())
    });
    by_definition.chain(retry_after(answer)).max()
}

/// Returns how long from its arrival any answer says to wait.
#[must_use]
pub fn retry_after(answer: &Answer<'_>) -> Option<Duration> {
    let now = Now::of(answer);
    let text = answer.header("retry-after")?.trim();
    now.wait(WaitForm::Seconds, text)
        .or_else(|| now.wait(WaitForm::Date, text))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The time of day at the vendor: what the answer's `Date` says, so that a clock that is wrong on either side does not
/// matter. It counts whole seconds, so that a wait comes out up to a second too long and never too short.
struct Now {
    unix_ms: i64,
}

impl Now {
    fn of(answer: &Answer<'_>) -> Now {
        let date = answer.header("date").and_then(|text| date(text.trim()));
        Now {
            unix_ms: date.unwrap_or(answer.received_unix_ms),
        }
    }

    fn wait(&self, form: WaitForm, text: &str) -> Option<Duration> {
        match form {
            WaitForm::Seconds => milliseconds(text, 1000.0),
            WaitForm::Milliseconds => milliseconds(text, 1.0),
            WaitForm::Unix => self.until(milliseconds(text, 1000.0)?),
            WaitForm::UnixMs => self.until(milliseconds(text, 1.0)?),
            WaitForm::Date => {
                let at = date(text)?.checked_sub(self.unix_ms)?;
                Some(Duration::from_millis(u64::try_from(at).unwrap_or(0)))
            }
        }
    }

    fn until(&self, since_1970: Duration) -> Option<Duration> {
        let now = Duration::from_millis(u64::try_from(self.unix_ms).ok()?);
        Some(since_1970.saturating_sub(now))
    }
}

/// Returns a number of that many milliseconds each, rounded up. One too large for a clock is for ever.
fn milliseconds(text: &str, each: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    if number.is_nan() || number < 0.0 {
        return None;
    }
    // A float of milliseconds becomes a float of seconds, which has no room for a millisecond that is exact.
    let seconds = Duration::try_from_secs_f64((number * each).ceil() / 1000.0);
    let rounded = seconds.ok().and_then(|seconds| {
        let milliseconds = seconds.as_nanos().saturating_add(500_000) / 1_000_000;
        u64::try_from(milliseconds).ok()
    });
    Some(rounded.map_or(Duration::MAX, Duration::from_millis))
}

fn date(text: &str) -> Option<i64> {
    let http = rfc2822::DateTimeParser::new().parse_timestamp(text);
    let iso = || text.parse::<jiff::Timestamp>();
    let timestamp = http.or_else(|_| iso()).ok()?;
    Some(timestamp.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "Sun, 29 Nov 2026 10:00:00 GMT";
    const SENT_UNIX_MS: i64 = 1_795_946_400_000;

    fn check(waits: &[Wait], headers: &[(&str, &str)], body: &str, expected: Option<u64>) {
        let answer = Answer {
            status: 429,
            headers,
            body: body.as_bytes(),
            received_unix_ms: SENT_UNIX_MS,
        };
        let value = serde_json::from_str(body).unwrap_or_default();
        let found = told(waits, &answer, &value);
        assert_eq!(
            found,
            expected.map(Duration::from_millis),
            "{headers:?} {body}"
        );
    }

    fn header(name: &str, form: WaitForm) -> [Wait; 1] {
        let place = WaitPlace::Header(name.to_owned());
        [Wait { place, form }]
    }

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let rows = [
            ("30", Some(30_000)),
            ("1.5", Some(1_500)),
            ("0", Some(0)),
            ("Sun, 29 Nov 2026 10:00:07 GMT", Some(7_000)),
            ("Sun, 29 Nov 2026 09:00:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("NaN", None),
            ("", None),
        ];
        for (text, expected) in rows {
            check(&[], &[("Retry-After", text)], "", expected);
        }
        check(&[], &[], "", None);
    }

    #[test]
    fn a_date_is_by_the_vendors_clock() {
        let told = "Sun, 29 Nov 2026 10:05:07 GMT";
        let five_minutes_ahead = "Sun, 29 Nov 2026 10:05:00 GMT";
        check(
            &[],
            &[("retry-after", told), ("Date", five_minutes_ahead)],
            "",
            Some(7_000),
        );
        check(
            &[],
            &[("retry-after", told), ("Date", SENT)],
            "",
            Some(307_000),
        );
    }

    #[test]
    fn each_form_of_a_definition() {
        let rows = [
            (WaitForm::Seconds, "30", Some(30_000)),
            (WaitForm::Milliseconds, "30", Some(30)),
            (WaitForm::Milliseconds, "0.2", Some(1)),
            (WaitForm::Unix, "1795946410", Some(10_000)),
            (WaitForm::Unix, "1795946410.0005", Some(10_001)),
            (WaitForm::Unix, "1", Some(0)),
            (WaitForm::UnixMs, "1795946400010", Some(10)),
            (WaitForm::Date, "2026-11-29T10:00:10Z", Some(10_000)),
            (
                WaitForm::Date,
                "Sun, 29 Nov 2026 10:00:10 GMT",
                Some(10_000),
            ),
            (WaitForm::Date, "10", None),
        ];
        for (form, text, expected) in rows {
            check(
                &header("X-RateLimit-Reset", form),
                &[("x-ratelimit-reset", text), ("date", SENT)],
                "",
                expected,
            );
        }
    }

    #[test]
    fn a_body_may_say_it() {
        let place = WaitPlace::Body("/try-in-seconds".to_owned());
        let form = WaitForm::Seconds;
        let waits = [Wait { place, form }];
        check(&waits, &[], r#"{"try-in-seconds":15}"#, Some(15_000));
        check(&waits, &[], r#"{"try-in-seconds":"15"}"#, Some(15_000));
        check(&waits, &[], r#"{"try-in-seconds":true}"#, None);
        check(&waits, &[], "not JSON", None);
    }

    #[test]
    fn the_longest_of_several_holds() {
        let reset = header("X-RateLimit-Reset", WaitForm::Seconds);
        let rows = [("5", "9", 9_000), ("9", "5", 9_000)];
        for (first, second, expected) in rows {
            let headers = [("Retry-After", first), ("X-RateLimit-Reset", second)];
            check(&reset, &headers, "", Some(expected));
        }
    }

    #[test]
    fn a_wait_without_an_end_is_one() {
        let answer = Answer {
            status: 429,
            headers: &[("Retry-After", "1e300")],
            body: b"",
            received_unix_ms: 0,
        };
        assert_eq!(told(&[], &answer, &Value::Null), Some(Duration::MAX));
    }
}
