//! A deterministic mix of events, good and bad, each with what must become of it.
//!
//! A recipe is a pure function of its index. What is expected of it follows from the parts that it is put together from,
//! by the rules of the semantics as written here once more: nothing of the program is called.

/// The destinations, in the order of every array of six below.
pub(crate) const DESTINATIONS: [&str; 6] = [
    "mixpanel",
    "salesforce",
    "hubspot",
    "customerio",
    "intercom",
    "webhook",
];

/// Every operation that the mix can make: destination and operation, in the definitions' order.
pub(crate) const OPERATIONS: [(usize, &str); 10] = [
    (0, "group.set"),
    (0, "group.unset"),
    (0, "member.add"),
    (0, "member.add_anonymous"),
    (1, "account.upsert"),
    (2, "company.upsert"),
    (3, "group.identify"),
    (3, "member.add_anonymous"),
    (4, "company.upsert"),
    (5, "event.post"),
];

/// The limits that the mix goes past; the configuration under test must set them.
pub(crate) const MAX_RECORD_BYTES: usize = 262_144;
pub(crate) const MAX_TRAITS: usize = 100;
/// What the webhook's topic takes, less than the largest events.
pub(crate) const MAX_WEBHOOK_BYTES: usize = 131_072;

/// What one destination must make of a routed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// These operations leave, by their index in [`OPERATIONS`].
    Emitted(Vec<usize>),
    Skipped(&'static str),
    DeadLettered(&'static str),
}

/// What must become of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    Routed([Outcome; 6]),
    Ignored(&'static str),
    DeadLettered(&'static str),
}

/// One event of the mix.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    index: u64,
    group: u64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Call {
        traits: &'static Traits,
        flags: &'static Flags,
        member: &'static Member,
    },
    Other(&'static Other),
}

/// In every text of a part `%` stands for the event's index.
struct Traits {
    weight: u64,
    json: &'static str,
    /// The group's name as a destination must show it.
    name: Option<&'static str>,
    /// What must stand in whole maps byte for byte (E8).
    verbatim: &'static [&'static str],
    /// Whether Mixpanel has a property to set, and one to unset; whether Salesforce has a field.
    sets: bool,
    unsets: bool,
    has_field: bool,
    /// Bytes of an additional long trait.
    padding: usize,
}

struct Flags {
    weight: u64,
    json: Option<&'static str>,
    excluded: [Option<&'static str>; 6],
}

struct Member {
    weight: u64,
    json: &'static str,
    kind: MemberKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MemberKind {
    User,
    Anonymous,
    None,
}

struct Other {
    weight: u64,
    expected: Expected,
    value: fn() -> Option<Vec<u8>>,
}

const PLAIN: Traits = Traits {
    weight: 1,
    json: "",
    name: None,
    verbatim: &[],
    sets: true,
    unsets: false,
    has_field: true,
    padding: 0,
};

#[rustfmt::skip]
static TRAITS: &[Traits] = &[
    Traits { weight: 240, name: Some("Initech %"), verbatim: &[r#""total billed":830"#],
        json: r#"{"name":"Initech %","industry":"Technology","employees":329,"plan":"enterprise","total billed":830}"#, ..PLAIN },
    Traits { weight: 160, name: Some("Initech %"),
        json: r#"{"Name":"Initech %","CREATED-AT":1424649600,"$Email":"a@example.com","Employees":"50","zip":73301,"City":"Austin"}"#, ..PLAIN },
    Traits { weight: 160, name: Some("Initech %"), unsets: true,
        json: r#"{"name":"Initech %","plan":null,"Phone":null,"seats":null}"#, ..PLAIN },
    Traits { weight: 80, sets: false, unsets: true, has_field: false, json: r#"{"plan":null,"avatar":null}"#, ..PLAIN },
    Traits { weight: 80, sets: false, has_field: false, json: "{}", ..PLAIN },
    Traits { weight: 40, sets: false, has_field: false, json: "null", ..PLAIN },
    Traits { weight: 80, name: Some("Café \"%\"\n\u{1f980}"), verbatim: &[r#":"\u00e9""#],
        json: r#"{"name":"Caf\u00e9 \"%\"\n\ud83e\udd80","\u00e9\t":"\u00e9"}"#, ..PLAIN },
    Traits { weight: 80, name: Some("Initech %"), verbatim: &["12345678901234567890", ":1.0,", ":1e3,", r#"{"a":[1, 2]}"#],
        json: r#"{"name":"Initech %","serial":12345678901234567890,"ratio":1.0,"scale":1e3,"deep":{"a":[1, 2]}}"#, ..PLAIN },
    Traits { weight: 40, name: Some("Initech %"), json: r#"{"name":"loses","name":"Initech %"}"#, ..PLAIN },
    Traits { weight: 40, name: Some("Initech %"), json: r#"{"NAME":"loses","name":"Initech %","Name":"loses"}"#, ..PLAIN },
    Traits { weight: 40, name: Some("Initech %"), verbatim: &[r#""note":"\ud800""#],
        json: r#"{"name":"Initech %","note":"\ud800"}"#, ..PLAIN },
    Traits { weight: 40, name: Some("%"), json: r#"{"name":%,"employees":"about 50","createdAt":"2021-02-30"}"#, ..PLAIN },
    Traits { weight: 1, name: Some("Initech %"), padding: 150_000, json: r#"{"name":"Initech %"}"#, ..PLAIN },
];

const YES: Option<&str> = None;
const OPT_IN: Option<&str> = Some("opt_in");
const ALL: Option<&str> = Some("all_false");
const OWN: Option<&str> = Some("flag_false");
const DEFAULT: [Option<&str>; 6] = [YES, OPT_IN, YES, YES, YES, YES];

#[rustfmt::skip]
static FLAGS: &[Flags] = &[
    Flags { weight: 16, json: None, excluded: DEFAULT },
    Flags { weight: 4, json: Some("null"), excluded: DEFAULT },
    Flags { weight: 4, json: Some("{}"), excluded: DEFAULT },
    Flags { weight: 6, json: Some(r#"{"All":true}"#), excluded: DEFAULT },
    Flags { weight: 4, json: Some(r#"{"All":false}"#), excluded: [ALL; 6] },
    Flags { weight: 4, json: Some(r#"{"all":false}"#), excluded: [ALL; 6] },
    Flags { weight: 4, json: Some(r#"{"All":false,"Mixpanel":true}"#), excluded: [YES, ALL, ALL, ALL, ALL, ALL] },
    Flags { weight: 4, json: Some(r#"{"All":true,"Mixpanel":false,"Salesforce":false}"#), excluded: [OWN, OWN, YES, YES, YES, YES] },
    Flags { weight: 4, json: Some(r#"{"Mixpanel":false}"#), excluded: [OWN, OPT_IN, YES, YES, YES, YES] },
    Flags { weight: 4, json: Some(r#"{"mix-panel":false,"customer IO":false}"#), excluded: [OWN, OPT_IN, YES, OWN, YES, YES] },
    Flags { weight: 2, json: Some(r#"{"mixpanel":true,"MIXPANEL":false}"#), excluded: [OWN, OPT_IN, YES, YES, YES, YES] },
    Flags { weight: 2, json: Some(r#"{"Mixpanel":true,"mixpanel":false}"#), excluded: DEFAULT },
    Flags { weight: 2, json: Some(r#"{"Mixpanel":false,"Mixpanel":true}"#), excluded: DEFAULT },
    Flags { weight: 6, json: Some(r#"{"Salesforce":true}"#), excluded: [YES; 6] },
    Flags { weight: 4, json: Some(r#"{"All":false,"Salesforce":{}}"#), excluded: [ALL, YES, ALL, ALL, ALL, ALL] },
    Flags { weight: 2, json: Some(r#"{"salesforce":true,"Webhooks":false}"#), excluded: [YES, YES, YES, YES, YES, OWN] },
    Flags { weight: 3, json: Some(r#"{"HubSpot":{"region":"eu"},"Intercom":false}"#), excluded: [YES, OPT_IN, YES, YES, OWN, YES] },
    // The text "false" excludes (F3).
    Flags { weight: 3, json: Some(r#"{"Mixpanel":"false","All":null,"HubSpot":0}"#), excluded: [OWN, OPT_IN, YES, YES, YES, YES] },
    Flags { weight: 2, json: Some(r#""All""#), excluded: DEFAULT },
    Flags { weight: 2, json: Some(r#"{"Amplitude":false,"constructor":true}"#), excluded: DEFAULT },
];

#[rustfmt::skip]
static MEMBERS: &[Member] = &[
    Member { weight: 8, json: r#""userId":"user-%","#, kind: MemberKind::User },
    Member { weight: 2, json: r#""userId":%,"anonymousId":"device-%","#, kind: MemberKind::User },
    Member { weight: 4, json: r#""anonymousId":"device-%","#, kind: MemberKind::Anonymous },
    Member { weight: 1, json: r#""userId":true,"anonymousId":"device-%","#, kind: MemberKind::Anonymous },
    Member { weight: 1, json: r#""userId":"","anonymousId":null,"#, kind: MemberKind::None },
    Member { weight: 4, json: "", kind: MemberKind::None },
];

const fn dead(weight: u64, reason: &'static str, value: fn() -> Option<Vec<u8>>) -> Other {
    Other {
        weight,
        expected: Expected::DeadLettered(reason),
        value,
    }
}

const fn ignored(weight: u64, reason: &'static str, value: fn() -> Option<Vec<u8>>) -> Other {
    Other {
        weight,
        expected: Expected::Ignored(reason),
        value,
    }
}

fn bytes(value: impl Into<Vec<u8>>) -> Option<Vec<u8>> {
    Some(value.into())
}

#[rustfmt::skip]
static OTHERS: &[Other] = &[
    ignored(100, "tombstone", || None),
    ignored(300, "not_group", || bytes(r#"{"type":"track","event":"Signed Up","userId":"u","properties":{"groupId":"g"}}"#)),
    ignored(150, "not_group", || bytes(r#"{"type":"page","name":"Home","anonymousId":"a"}"#)),
    ignored(150, "not_group", || bytes(r#"{"type":"identify","userId":"u","traits":{"name":"Ann"}}"#)),
    ignored(20, "not_group", || bytes(r#"{"type":"Groups","groupId":"g"}"#)),
    dead(20, "empty_value", || bytes("")),
    dead(20, "invalid_utf8", || bytes(b"{\"type\":\"group\",\"groupId\":\"\xff\xfe\"}")),
    dead(30, "invalid_json", || bytes(r#"{"type":"group","groupId":"g","traits":{"name":"cut o"#)),
    dead(20, "invalid_json", || bytes(r#"{"type":"group","groupId":"g"} {"type":"group","groupId":"h"}"#)),
    dead(20, "invalid_json", || bytes(r#"{"type":"group","groupId":"g","traits":{"ratio":NaN}}"#)),
    dead(20, "unsupported_envelope", || bytes(r#"[{"type":"group","groupId":"g"}]"#)),
    dead(20, "unsupported_envelope", || bytes(r#"{"batch":[{"type":"group","groupId":"g"}]}"#)),
    dead(20, "unsupported_envelope", || bytes(b"\x00\x00\x00\x00\x07\x02g")),
    dead(10, "unsupported_envelope", || bytes(b"\xc3\x01\x10\x20\x30\x40\x50\x60\x70\x80")),
    dead(20, "not_an_object", || bytes(r#""group""#)),
    dead(20, "missing_type", || bytes(r#"{"groupId":"g","traits":{}}"#)),
    dead(10, "missing_type", || bytes(r#"{"type":7,"groupId":"g"}"#)),
    dead(30, "missing_group_id", || bytes(r#"{"type":"group","userId":"u","traits":{"name":"Initech"}}"#)),
    dead(20, "missing_group_id", || bytes(r#"{"type":"group","groupId":null}"#)),
    dead(20, "missing_group_id", || bytes(r#"{"type":"group","groupId":"","context":{"groupId":"g"}}"#)),
    dead(20, "invalid_group_id", || bytes(r#"{"type":"group","groupId":true}"#)),
    dead(20, "invalid_group_id", || bytes(r#"{"type":"group","groupId":{"id":"g"}}"#)),
    dead(20, "group_id_too_long", || bytes(format!(r#"{{"type":"group","groupId":"{}"}}"#, "g".repeat(501)))),
    dead(20, "traits_not_object", || bytes(r#"{"type":"group","groupId":"g","traits":["name"]}"#)),
    dead(20, "traits_not_object", || bytes(r#"{"type":"group","groupId":"g","traits":"name"}"#)),
    dead(20, "invalid_string", || bytes(r#"{"type":"group","groupId":"\ud800"}"#)),
    dead(20, "invalid_string", || bytes(r#"{"type":"group","groupId":"g","traits":{"a\ud800":1}}"#)),
    dead(15, "nested_too_deep", || bytes(format!(r#"{{"type":"group","groupId":"g","traits":{{"a":{}1{}}}}}"#, "[".repeat(80), "]".repeat(80)))),
    dead(15, "too_many_traits", || bytes(many_traits())),
    dead(1, "record_too_large", || bytes(format!(r#"{{"type":"group","groupId":"g","pad":"{}"}}"#, "x".repeat(MAX_RECORD_BYTES)))),
];

fn many_traits() -> String {
    let traits: Vec<String> = (0..=MAX_TRAITS)
        .map(|index| format!(r#""t{index}":{index}"#))
        .collect();
    format!(
        r#"{{"type":"group","groupId":"g","traits":{{{}}}}}"#,
        traits.join(",")
    )
}

/// So many groups that each has a history, and all are in motion.
const GROUPS: u64 = 2_000;

impl Recipe {
    /// Returns the event of this index: seven in ten are group calls.
    pub(crate) fn of(index: u64) -> Recipe {
        let mut dice = Dice(index);
        let group = dice.below(GROUPS);
        let kind = if dice.below(10) < 7 {
            Kind::Call {
                traits: dice.pick(TRAITS, |traits| traits.weight),
                flags: dice.pick(FLAGS, |flags| flags.weight),
                member: dice.pick(MEMBERS, |member| member.weight),
            }
        } else {
            Kind::Other(dice.pick(OTHERS, |other| other.weight))
        };
        Recipe { index, group, kind }
    }

    /// Returns whether it is of the one group that can be had more often than the others.
    pub(crate) fn is_hot(&self) -> bool {
        self.group == 1
    }

    /// Returns the source partition: that of its group, so that the group's order means something (K5).
    pub(crate) fn partition(&self, n_partitions: usize) -> usize {
        usize::try_from(self.group).expect("groups are few") % n_partitions
    }

    /// Returns the source record's key; one in four has none.
    pub(crate) fn key(&self) -> Option<String> {
        (!self.index.is_multiple_of(4)).then(|| format!("source-{}", self.group))
    }

    /// Returns the source record's `traceparent` header; one in eight has one.
    pub(crate) fn traceparent(&self) -> Option<String> {
        self.index
            .is_multiple_of(8)
            .then(|| format!("00-{:032x}-00f067aa0ba902b7-01", self.index + 1))
    }

    /// Returns the source record's value.
    pub(crate) fn value(&self) -> Option<Vec<u8>> {
        let (traits, flags, member) = match self.kind {
            Kind::Other(other) => return (other.value)(),
            Kind::Call {
                traits,
                flags,
                member,
            } => (traits, flags, member),
        };
        let (member, group) = (member.json, self.group_json());
        let padding = "x".repeat(traits.padding);
        let traits = if padding.is_empty() {
            traits.json.to_owned()
        } else {
            traits
                .json
                .replace('}', &format!(r#","padding":"{padding}"}}"#))
        };
        let flags = flags
            .json
            .map(|flags| format!(r#","integrations":{flags}"#))
            .unwrap_or_default();
        Some(
            self.fill(&format!(r#"{{"type":"group","messageId":"%",{member}"groupId":{group},"traits":{traits}{flags}}}"#))
                .into_bytes(),
        )
    }

    /// Returns the group's id as text, which is the key of all that leaves (K3).
    pub(crate) fn group_id(&self) -> String {
        match self.group % 8 {
            0 => format!("{}", 9_007_199_254_740_993 + self.group),
            1 => format!("café {}/b", self.group),
            _ => format!("group-{}", self.group),
        }
    }

    fn group_json(&self) -> String {
        match self.group % 8 {
            0 => self.group_id(),
            1 => format!(r#""caf\u00e9 {}\/b""#, self.group),
            _ => format!("\"{}\"", self.group_id()),
        }
    }

    /// Returns the group's name as a destination must show it, where the event gives one.
    pub(crate) fn name(&self) -> Option<String> {
        let Kind::Call { traits, .. } = self.kind else {
            return None;
        };
        traits.name.map(|name| self.fill(name))
    }

    /// Returns what must stand in whole maps byte for byte (E8).
    pub(crate) fn verbatim(&self) -> &'static [&'static str] {
        let Kind::Call { traits, .. } = self.kind else {
            return &[];
        };
        traits.verbatim
    }

    /// Returns the member's id as text.
    pub(crate) fn member(&self) -> Option<String> {
        let Kind::Call { member, .. } = self.kind else {
            return None;
        };
        match (member.kind, member.json.contains("\"user-")) {
            (MemberKind::User, true) => Some(format!("user-{}", self.index)),
            (MemberKind::User, false) => Some(self.index.to_string()),
            (MemberKind::Anonymous, _) => Some(format!("device-{}", self.index)),
            (MemberKind::None, _) => None,
        }
    }

    /// Returns what must become of it.
    pub(crate) fn expected(&self) -> Expected {
        match self.kind {
            Kind::Other(other) => other.expected.clone(),
            Kind::Call {
                traits,
                flags,
                member,
            } => Expected::Routed(std::array::from_fn(|destination| {
                outcome(destination, traits, flags, member.kind)
            })),
        }
    }

    fn fill(&self, text: &str) -> String {
        text.replace('%', &self.index.to_string())
    }
}

fn outcome(destination: usize, traits: &Traits, flags: &Flags, member: MemberKind) -> Outcome {
    if let Some(reason) = flags.excluded[destination] {
        return Outcome::Skipped(reason);
    }
    if destination == 5 && traits.padding > MAX_WEBHOOK_BYTES {
        return Outcome::DeadLettered("too_large");
    }
    // By index in OPERATIONS: what each has to say something about.
    let is_due = [
        traits.sets,
        traits.unsets,
        member == MemberKind::User,
        member == MemberKind::Anonymous,
        traits.has_field,
        true,
        true,
        member == MemberKind::Anonymous,
        true,
        true,
    ];
    let due: Vec<usize> = (0..OPERATIONS.len())
        .filter(|index| OPERATIONS[*index].0 == destination && is_due[*index])
        .collect();
    if due.is_empty() {
        Outcome::Skipped("nothing_to_send")
    } else {
        Outcome::Emitted(due)
    }
}

/// Random numbers that are the same on every run (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn pick<T>(&mut self, parts: &'static [T], weight: impl Fn(&T) -> u64) -> &'static T {
        let mut rest = self.below(parts.iter().map(&weight).sum());
        let picked = parts.iter().find(|part| {
            let is_it = rest < weight(part);
            rest = rest.saturating_sub(weight(part));
            is_it
        });
        picked.expect("a number below the sum falls on a part")
    }
}
