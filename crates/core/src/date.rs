//! Instants in and out (semantics D). Everything that is not exactly one of the forms of D2 is no date.

use std::fmt::Write;
use std::ops::RangeInclusive;

use bumpalo::Bump;
use jiff::civil;
use jiff::tz::Offset;

use crate::json::{self, Kind, Raw};

/// A point in time, exact to the digits that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant {
    /// Whole seconds since the Unix epoch, towards the past.
    seconds: i64,
    /// The fraction of a second, in units of 10^-digits.
    fraction: u64,
    /// How many fraction digits came, at most [`MAX_DIGITS`].
    digits: u32,
}

/// How a destination wants its dates (semantics D4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `2015-02-23T00:00:00Z`, with the fraction digits that came.
    Iso8601,
    /// Unix seconds as a number, rounded towards the past.
    UnixSeconds,
    /// Unix milliseconds as a number, rounded towards the past.
    UnixMs,
    /// Unix microseconds, rounded down.
    UnixUs,
    /// Unix seconds with the fraction digits that came.
    UnixDecimal,
    /// `2015-02-23`
    Date,
}

impl Unit {
    /// The units by the filter's name.
    pub const WORDS: &'static [(&'static str, Unit)] = &[
        ("iso8601", Unit::Iso8601),
        ("unix_seconds", Unit::UnixSeconds),
        ("unix_ms", Unit::UnixMs),
        ("unix_us", Unit::UnixUs),
        ("unix_decimal", Unit::UnixDecimal),
        ("date", Unit::Date),
    ];

    /// Returns whether values in this unit are JSON numbers; the others are strings.
    #[must_use]
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Unit::UnixSeconds | Unit::UnixMs | Unit::UnixUs | Unit::UnixDecimal
        )
    }
}

/// Fraction digits beyond these are cut off; no clock has them.
const MAX_DIGITS: usize = 18;

/// The magnitude from which a number counts milliseconds (semantics D2): a thousand years in seconds, one in milliseconds.
const FIRST_MILLISECOND: u64 = 31_557_600_000;

/// The seconds of the years 0 to 9999, as far as jiff goes: it keeps the last day's end free for time zones.
const CALENDAR: RangeInclusive<i64> = -62_167_219_200..=253_402_207_200;

impl Instant {
    /// Returns the instant of a Kafka record's timestamp.
    #[must_use]
    pub fn from_unix_ms(milliseconds: i64) -> Option<Instant> {
        let fraction = u64::try_from(milliseconds.rem_euclid(1000)).ok()?;
        Instant {
            seconds: milliseconds.div_euclid(1000),
            fraction,
            digits: 3,
        }
        .in_calendar()
    }

    /// Returns the instant in Unix milliseconds, rounded towards the past.
    #[must_use]
    pub fn unix_ms(self) -> i64 {
        let milliseconds = match self.digits.checked_sub(3) {
            Some(digits) => self.fraction / 10_u64.pow(digits),
            None => self.fraction * 10_u64.pow(3 - self.digits),
        };
        self.seconds
            .saturating_mul(1000)
            .saturating_add_unsigned(milliseconds)
    }

    /// Reads a JSON number or string (semantics D2); `None` for anything that is not a date (D3).
    #[must_use]
    pub fn from_json(value: Raw<'_>) -> Option<Instant> {
        match value.kind() {
            Kind::Number => from_number(value.text()),
            Kind::String => Instant::from_text(value.string(&Bump::new()).ok()??),
            Kind::Null | Kind::Boolean | Kind::Array | Kind::Object => None,
        }
    }

    /// Reads a string: digits only as a number, else a calendar date with an optional time and offset.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Instant> {
        if text.as_bytes().get(4) == Some(&b'-') {
            return from_calendar(text);
        }
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (integer, fraction) = unsigned
            .split_once('.')
            .map_or((unsigned, None), |(integer, rest)| (integer, Some(rest)));
        let is_number = is_digits(integer) && fraction.is_none_or(is_digits);
        is_number
            .then(|| from_decimal(text.starts_with('-'), integer, fraction.unwrap_or_default()))?
    }

    /// Returns the instant in `unit`, as text: digits for the numeric units.
    #[must_use]
    pub fn format(self, unit: Unit) -> String {
        let mut text = String::with_capacity(32);
        // Writing to a string cannot fail.
        self.write(unit, &mut text).unwrap_or_default();
        text
    }

    /// Appends the instant in `unit`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(self, unit: Unit, out: &mut impl Write) -> std::fmt::Result {
        match unit {
            Unit::UnixSeconds => out.write_str(itoa::Buffer::new().format(self.seconds)),
            Unit::UnixMs => out.write_str(
                itoa::Buffer::new().format(i128::from(self.seconds) * 1000 + self.parts(1000)),
            ),
            Unit::UnixUs => out.write_str(
                itoa::Buffer::new()
                    .format(i128::from(self.seconds) * 1_000_000 + self.parts(1_000_000)),
            ),
            Unit::UnixDecimal => self.write_decimal(out),
            Unit::Iso8601 | Unit::Date => {
                let Some(civil) = self.civil() else {
                    return Ok(());
                };
                write_padded(out, "", civil.year(), 4)?;
                write_padded(out, "-", civil.month(), 2)?;
                write_padded(out, "-", civil.day(), 2)?;
                if unit == Unit::Date {
                    return Ok(());
                }
                write_padded(out, "T", civil.hour(), 2)?;
                write_padded(out, ":", civil.minute(), 2)?;
                write_padded(out, ":", civil.second(), 2)?;
                if self.digits > 0 {
                    write_padded(out, ".", self.fraction, self.digits)?;
                }
                out.write_char('Z')
            }
        }
    }

    /// Returns the fraction in such parts of a second, rounded down.
    fn parts(self, n_parts: i128) -> i128 {
        i128::from(self.fraction) * n_parts / 10_i128.pow(self.digits)
    }

    /// Appends the seconds with the fraction digits that came.
    fn write_decimal(self, out: &mut impl Write) -> std::fmt::Result {
        if self.fraction == 0 {
            return out.write_str(itoa::Buffer::new().format(self.seconds));
        }
        // The fraction counts forward, also before 1970.
        let unit = 10_i128.pow(self.digits);
        let whole = i128::from(self.seconds) * unit + i128::from(self.fraction);
        let sign = if whole < 0 { "-" } else { "" };
        out.write_str(sign)?;
        out.write_str(itoa::Buffer::new().format(whole.abs() / unit))?;
        write_padded(out, ".", whole.abs() % unit, self.digits)
    }

    fn civil(self) -> Option<civil::DateTime> {
        let timestamp = jiff::Timestamp::from_second(self.seconds).ok()?;
        Some(Offset::UTC.to_datetime(timestamp))
    }

    /// Returns itself if its year has four digits: other years have no form in D2 to come or leave in.
    fn in_calendar(self) -> Option<Instant> {
        CALENDAR.contains(&self.seconds).then_some(self)
    }
}

/// Writes a number that is not negative, of `width` digits at least, behind `before`.
fn write_padded(
    out: &mut impl Write,
    before: &str,
    number: impl itoa::Integer,
    width: u32,
) -> std::fmt::Result {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    out.write_str(before)?;
    for _ in digits.len()..width as usize {
        out.write_char('0')?;
    }
    out.write_str(digits)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads a JSON number, an exponent too.
fn from_number(text: &str) -> Option<Instant> {
    if !text.contains(['e', 'E']) {
        return Instant::from_text(text);
    }
    let (negative, integer, fraction) = json::decimal(text)?;
    from_decimal(negative, &integer, &fraction)
}

/// Reads Unix seconds, or milliseconds from [`FIRST_MILLISECOND`] on, given as the digits on either side of the point.
fn from_decimal(negative: bool, integer: &str, fraction: &str) -> Option<Instant> {
    let whole: u64 = integer.parse().ok()?;
    if whole < FIRST_MILLISECOND {
        let (fraction, digits) = read_fraction(fraction, MAX_DIGITS)?;
        return signed(negative, whole, fraction, digits);
    }
    let (fraction, digits) = read_fraction(fraction, MAX_DIGITS - 3)?;
    signed(
        negative,
        whole / 1000,
        whole % 1000 * 10_u64.pow(digits) + fraction,
        digits + 3,
    )
}

fn signed(negative: bool, seconds: u64, fraction: u64, digits: u32) -> Option<Instant> {
    let seconds = i64::try_from(seconds).ok()?;
    let instant = match (negative, fraction) {
        (false, _) => Instant {
            seconds,
            fraction,
            digits,
        },
        (true, 0) => Instant {
            seconds: -seconds,
            fraction,
            digits,
        },
        // Seconds count towards the past, so that a fraction is never negative: -0.25 is -1 s and 0.75.
        (true, _) => Instant {
            seconds: -seconds - 1,
            fraction: 10_u64.pow(digits) - fraction,
            digits,
        },
    };
    instant.in_calendar()
}

fn read_fraction(digits: &str, max_digits: usize) -> Option<(u64, u32)> {
    let digits = digits.get(..digits.len().min(max_digits))?;
    let value = if digits.is_empty() {
        0
    } else {
        digits.parse().ok()?
    };
    Some((value, u32::try_from(digits.len()).ok()?))
}

/// Reads `YYYY-MM-DD`, optionally `T` or a space and `hh:mm[:ss[.fraction]]`, optionally `Z` or `±hh[[:]mm]`.
fn from_calendar(text: &str) -> Option<Instant> {
    let mut input = Input(text);
    let year = input.digits(4)?;
    input.byte(b'-')?;
    let month = input.digits(2)?;
    input.byte(b'-')?;
    let day = input.digits(2)?;
    let (mut hour, mut minute, mut second, mut fraction, mut offset) = (0, 0, 0, "", 0);
    if input.byte(b'T').or_else(|| input.byte(b' ')).is_some() {
        hour = input.digits(2)?;
        input.byte(b':')?;
        minute = input.digits(2)?;
        if input.byte(b':').is_some() {
            second = input.digits(2)?;
            if input.byte(b'.').is_some() {
                fraction = input.run_of_digits()?;
            }
        }
        offset = input.offset()?;
    }
    if !input.0.is_empty() {
        return None;
    }
    let small = |number: i16| i8::try_from(number).ok();
    // jiff refuses 24:00, :60 and days that the month lacks, as D3 wants.
    let civil = civil::Date::new(year, small(month)?, small(day)?)
        .ok()?
        .to_datetime(civil::Time::new(small(hour)?, small(minute)?, small(second)?, 0).ok()?);
    let seconds = Offset::UTC.to_timestamp(civil).ok()?.as_second() - i64::from(offset);
    let (fraction, digits) = read_fraction(fraction, MAX_DIGITS)?;
    Instant {
        seconds,
        fraction,
        digits,
    }
    .in_calendar()
}

/// What is still to be read.
struct Input<'a>(&'a str);

impl<'a> Input<'a> {
    fn byte(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(char::from(byte))?;
        Some(())
    }

    fn digits(&mut self, count: usize) -> Option<i16> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        if is_digits(digits) {
            digits.parse().ok()
        } else {
            None
        }
    }

    fn run_of_digits(&mut self) -> Option<&'a str> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        (length > 0).then_some(digits)
    }

    /// Reads an offset from UTC in seconds; nothing is UTC, on every host.
    fn offset(&mut self) -> Option<i32> {
        if self.0.is_empty() || self.byte(b'Z').is_some() {
            return Some(0);
        }
        let sign = if self.byte(b'+').is_some() {
            1
        } else {
            self.byte(b'-').map(|()| -1)?
        };
        let hours = self.digits(2)?;
        let has_colon = self.byte(b':').is_some();
        let minutes = if has_colon || !self.0.is_empty() {
            self.digits(2)?
        } else {
            0
        };
        (hours < 24 && minutes < 60)
            .then(|| sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, iso8601: Option<&str>) {
        let instant = Instant::from_json(Raw::parse(json).unwrap());
        assert_eq!(
            instant
                .map(|instant| instant.format(Unit::Iso8601))
                .as_deref(),
            iso8601,
            "{json}"
        );
    }

    #[test]
    fn d2_reads_the_forms_listed() {
        for (json, iso8601) in [
            (r#""2015-02-23""#, "2015-02-23T00:00:00Z"),
            (r#""2015-02-23T10:11""#, "2015-02-23T10:11:00Z"),
            (r#""2015-02-23 10:11:12""#, "2015-02-23T10:11:12Z"),
            (r#""2015-02-23T10:11:12.5Z""#, "2015-02-23T10:11:12.5Z"),
            (
                r#""2015-02-23T10:11:12.123456789+02:00""#,
                "2015-02-23T08:11:12.123456789Z",
            ),
            (r#""2015-02-23T10:11:12-0130""#, "2015-02-23T11:41:12Z"),
            (r#""2015-02-23T23:11+01""#, "2015-02-23T22:11:00Z"),
            (r#""0000-01-01""#, "0000-01-01T00:00:00Z"),
            (r#""2016-02-29""#, "2016-02-29T00:00:00Z"),
            ("1424649600", "2015-02-23T00:00:00Z"),
            ("1424649600.250", "2015-02-23T00:00:00.250Z"),
            (r#""1424649600""#, "2015-02-23T00:00:00Z"),
            ("1424649600123", "2015-02-23T00:00:00.123Z"),
            (r#""1424649600123.5""#, "2015-02-23T00:00:00.1235Z"),
            // What no clock has is cut off.
            (
                "1424649600.1234567890123456789",
                "2015-02-23T00:00:00.123456789012345678Z",
            ),
            (
                "1424649600123.1234567890123456",
                "2015-02-23T00:00:00.123123456789012345Z",
            ),
            ("1.4246496e9", "2015-02-23T00:00:00Z"),
            ("-1", "1969-12-31T23:59:59Z"),
            ("-0.25", "1969-12-31T23:59:59.75Z"),
            ("-1.25", "1969-12-31T23:59:58.75Z"),
            ("31557599999", "2970-01-07T23:59:59Z"),
            ("31557600000", "1971-01-01T06:00:00.000Z"),
            ("-31557600000", "1968-12-31T18:00:00.000Z"),
            ("0", "1970-01-01T00:00:00Z"),
        ] {
            check(json, Some(iso8601));
        }
    }

    #[test]
    fn d3_anything_else_is_no_date() {
        for json in [
            r#""2021-02-30""#,
            r#""2021-13-01""#,
            r#""2021-00-10""#,
            r#""2021-01-01T24:00""#,
            r#""2021-01-01T10:11:60""#,
            r#""2021-01-01T10:60""#,
            r#""2021-1-1""#,
            r#""2021-01-01T""#,
            r#""2021-01-01T10""#,
            r#""2021-01-01 10:11:12.""#,
            r#""2021-01-01Z""#,
            r#""2021-01-01T10:11+24""#,
            r#""2021-01-01T10:11+01:60""#,
            r#""2021-01-01T10:11+01:""#,
            r#""2021-01-01T10:11+1:00""#,
            r#""2021-01-01t10:11""#,
            r#""2021/01/01""#,
            r#"" 2021-01-01""#,
            r#""2021-01-01 ""#,
            r#""""#,
            r#""-""#,
            r#"".5""#,
            r#""1.""#,
            r#""1e9""#,
            r#""+1""#,
            r#""yesterday""#,
            r#""２０２１-01-01""#,
            "true",
            "null",
            "[]",
            "{}",
            "1e300",
            "99999999999999999999",
            "-99999999999999",
            r#""9999-12-31T23:59:59-01:00""#,
            r#""\ud800""#,
        ] {
            check(json, None);
        }
    }

    #[test]
    fn d2_years_have_four_digits() {
        let civil = |seconds: i64| {
            Instant {
                seconds,
                fraction: 0,
                digits: 0,
            }
            .civil()
        };
        let (first, last) = (*CALENDAR.start(), *CALENDAR.end());
        assert_eq!(civil(first), Some(civil::date(0, 1, 1).at(0, 0, 0, 0)));
        assert_eq!(civil(first - 1).map(|civil| civil.year()), Some(-1));
        assert_eq!(civil(last).map(|civil| civil.year()), Some(9999));
        assert_eq!(civil(last + 1), None);
    }

    #[test]
    fn d4_each_destination_gets_its_own_unit() {
        for (json, seconds, milliseconds, date) in [
            (
                r#""2015-02-23T10:11:12.987Z""#,
                "1424686272",
                "1424686272987",
                "2015-02-23",
            ),
            ("-0.25", "-1", "-250", "1969-12-31"),
            (
                "1424649600.0009",
                "1424649600",
                "1424649600000",
                "2015-02-23",
            ),
            ("1424649600.5", "1424649600", "1424649600500", "2015-02-23"),
            ("1424649600", "1424649600", "1424649600000", "2015-02-23"),
        ] {
            let instant = Instant::from_json(Raw::parse(json).unwrap()).unwrap();
            assert_eq!(instant.unix_ms().to_string(), milliseconds);
            assert_eq!(instant.format(Unit::UnixSeconds), seconds);
            assert_eq!(instant.format(Unit::UnixMs), milliseconds);
            assert_eq!(instant.format(Unit::Date), date);
        }
    }

    #[test]
    fn d4_a_record_timestamp_is_milliseconds() {
        assert_eq!(
            Instant::from_unix_ms(-1).unwrap().format(Unit::Iso8601),
            "1969-12-31T23:59:59.999Z"
        );
        assert_eq!(Instant::from_unix_ms(i64::MAX), None);
    }
}
