//! The events of the benchmarks: a pure function of their index, so that a run on any machine measures the same bytes.

use std::fmt::Write;

/// How many different events there are.
pub(crate) const EVENTS: u64 = 50_000;

/// Returns one event, 0.6 to 1.4 KB of compact JSON as a client library writes it: of each reserved trait one of several
/// spellings, custom traits, escapes and UTF-8, numbers as strings, nulls, addresses whole and flat, flags of every kind.
pub(crate) fn event(index: u64) -> Vec<u8> {
    let mut draw = Draw(index % EVENTS);
    let mut text = String::with_capacity(1500);
    // Nothing that is written to a string can fail.
    write_event(&mut text, &mut draw).unwrap_or_default();
    text.into_bytes()
}

fn write_event(out: &mut String, draw: &mut Draw) -> std::fmt::Result {
    let (id, user, minute) = (draw.next(), draw.below(100_000), draw.below(60));
    let time = format!(
        "2026-{:02}-{:02}T{:02}:{minute:02}",
        1 + draw.below(12),
        1 + draw.below(28),
        draw.below(24)
    );
    write!(
        out,
        r#"{{"anonymousId":"{:016x}{:016x}","channel":"{}","context":{{"#,
        draw.next(),
        id,
        draw.of(&CHANNELS)
    )?;
    let version = format!("{}.{}.{}", draw.below(9), draw.below(20), draw.below(9));
    write!(
        out,
        r#""library":{{"name":"{}","version":"{version}"}}"#,
        draw.of(&LIBRARIES)
    )?;
    if draw.is_one_in(2) {
        write!(
            out,
            r#","ip":"203.0.113.{}","userAgent":"{}""#,
            draw.below(256),
            draw.of(&AGENTS)
        )?;
    }
    if draw.is_one_in(3) {
        write!(
            out,
            r#","page":{{"path":"/teams/{user}","url":"https://app.example.com/teams/{user}"}},"locale":"de-DE""#
        )?;
    }
    write!(
        out,
        r#"}},"integrations":{},"messageId":"ajs-{id:016x}","#,
        draw.of(&FLAGS)
    )?;
    write!(
        out,
        r#""originalTimestamp":"{time}:11.081Z","receivedAt":"{time}:12.387Z","sentAt":"{time}:11.{:03}Z","#,
        minute
    )?;
    write!(out, r#""timestamp":"{time}:11.387Z","traits":{{"#)?;
    write_traits(out, draw, index_of_company(id))?;
    write!(
        out,
        r#"}},"type":"group","userId":"{user}","groupId":"{:024x}","version":"1.1"}}"#,
        id
    )
}

fn write_traits(out: &mut String, draw: &mut Draw, company: u64) -> std::fmt::Result {
    write!(
        out,
        r#""{}":"{} {company}""#,
        draw.of(&["name", "name", "name", "Name", "NAME"]),
        draw.of(&NAMES)
    )?;
    for spellings in &RESERVED {
        if draw.is_one_in(4) {
            continue;
        }
        let (key, value) = (draw.of(spellings.0), draw.of(spellings.1));
        if draw.is_one_in(16) {
            write!(out, r#","{key}":null"#)?
        } else {
            write!(out, r#","{key}":{value}"#)?
        }
    }
    match draw.below(4) {
        0 => write!(
            out,
            r#","address":{{"street":"{} Example Street","city":"Köln","postalCode":"{company:05}"}}"#,
            draw.below(99)
        )?,
        1 => write!(
            out,
            r#","Address":{{"City":"Austin","State":"TX","zip":"{company:05}","country":"USA"}}"#
        )?,
        2 => write!(
            out,
            r#","city":"Z\u00fcrich","country":"CH","postal_code":{}"#,
            1000 + draw.below(8000)
        )?,
        _ => {}
    }
    for _ in 0..2 + draw.below(6) {
        // The number keeps the keys of one event apart.
        write!(
            out,
            r#","{}{}":{}"#,
            draw.of(&CUSTOM_KEYS),
            draw.below(1000),
            draw.of(&CUSTOM_VALUES)
        )?;
    }
    // A few events spell one trait twice, as two producers behind one proxy do.
    if draw.is_one_in(50) {
        write!(out, r#","PLAN":"trial""#)
    } else {
        Ok(())
    }
}

fn index_of_company(id: u64) -> u64 {
    id % 20_000
}

const CHANNELS: [&str; 3] = ["browser", "server", "mobile"];
const LIBRARIES: [&str; 4] = [
    "analytics.js",
    "analytics-node",
    "analytics-ruby",
    "analytics-python",
];
const AGENTS: [&str; 2] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 Safari/605.1.15",
];

/// Most events carry none or the default; each of the others shows another rule.
const FLAGS: [&str; 12] = [
    "{}",
    "{}",
    "{}",
    r#"{"All":true}"#,
    r#"{"All":true,"Salesforce":false}"#,
    r#"{"Mixpanel":false}"#,
    r#"{"All":false,"Mixpanel":true,"HubSpot":true}"#,
    r#"{"hubspot":false}"#,
    r#"{"Intercom":{"contact":"first"},"All":true}"#,
    r#"{"All":true,"Google Analytics":false}"#,
    r#"{"customer.io":null}"#,
    r#"{"Webhooks":true,"Salesforce":true}"#,
];

const NAMES: [&str; 6] = [
    "Initech",
    "Acme \\\"Rockets\\\"",
    "B\\u00fcro Nord",
    "Société Générique",
    "株式会社例",
    "Globex & Söhne",
];

/// For each reserved trait the spellings of its key and the forms of its value.
const RESERVED: [(&[&str], &[&str]); 10] = [
    (
        &["createdAt", "created_at", "Created At"],
        &[
            r#""2015-02-23""#,
            r#""2019-07-01T08:30:00.250Z""#,
            "1424649600",
            "1424649600123",
        ],
    ),
    (
        &["email", "Email"],
        &[
            r#""office@initech.example.com""#,
            r#""hello@acme.example.org""#,
        ],
    ),
    (
        &["phone", "Phone"],
        &[r#""+1 512 555 0100""#, r#""+49 221 555 0199""#],
    ),
    (
        &["website", "Website", "web_site"],
        &[
            r#""https://www.initech.example.com/about""#,
            r#""http:\/\/acme.example.org\/""#,
        ],
    ),
    (
        &["industry", "Industry"],
        &[r#""Technology""#, r#""Insurance & \"Finance\"""#],
    ),
    (&["employees", "Employees"], &["329", r#""1200""#, "50"]),
    (&["plan", "Plan"], &[r#""enterprise""#, r#""startup""#]),
    (
        &["description", "Description"],
        &[
            r#""Makes reports about reports.\nSince 1999.""#,
            r#""Rakètes, größer als je zuvor""#,
        ],
    ),
    (&["revenue", "Revenue"], &["1200000.50", r#""29.5""#, "1e6"]),
    (
        &["avatar"],
        &[r#""https://cdn.example.com/logos/0e8c78ea9d97a7b8185e8632.png""#],
    ),
];

const CUSTOM_KEYS: [&str; 8] = [
    "total billed ",
    "monthlySpend",
    "seats_",
    "Trial-Ends-",
    "featureFlag",
    "crm id ",
    "größe",
    "last_login_",
];
const CUSTOM_VALUES: [&str; 9] = [
    "830",
    "99.5",
    "true",
    "null",
    r#""gold""#,
    r#""2026-12-01T00:00:00Z""#,
    r#"["alpha","beta"]"#,
    r#"{"tier":"gold","seats":{"used":17,"bought":25}}"#,
    r#""a \"quoted\" word\tand more""#,
];

/// A stream of numbers that is the same on every machine: SplitMix64, <https://doi.org/10.1145/2714064.2660195>.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn is_one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let length = u64::try_from(choices.len()).unwrap_or(1);
        choices[usize::try_from(self.below(length)).unwrap_or(0)]
    }
}
