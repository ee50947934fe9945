//! Every possible end of a record, with a stable code (semantics E11, F9).
//!
//! The codes are an interface: metric labels, dead letter headers and `explain` show the same words.

/// How a consumed record ended, exactly once each (semantics E11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A group event that every destination was asked about.
    Routed,
    /// Nothing for us, and no fault: a tombstone, or a call of another type.
    Ignored(Reason),
    /// No group event can be read from it; it went to the dead letters as a whole.
    DeadLettered(Reason),
}

impl Verdict {
    /// Returns the verdict's name and its reason's code, empty for a routed record.
    #[must_use]
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            Verdict::Routed => ("routed", ""),
            Verdict::Ignored(reason) => ("ignored", reason.code()),
            Verdict::DeadLettered(reason) => ("dead_lettered", reason.code()),
        }
    }
}

/// What one destination made of a routed event, exactly one each (semantics E11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// This many operations left, at least one.
    Emitted(u16),
    /// None left; the first reason.
    Skipped(Reason),
    /// An operation was unfit to send, so that none left and one dead letter did.
    DeadLettered(Reason),
}

impl Outcome {
    /// Returns the outcome's name and its reason's code, empty for an emitted one.
    #[must_use]
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            Outcome::Emitted(_) => ("emitted", ""),
            Outcome::Skipped(reason) => ("skipped", reason.code()),
            Outcome::DeadLettered(reason) => ("dead_lettered", reason.code()),
        }
    }
}

/// Why an operation does not leave, and what that means for the others of its event and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has nothing to say here; the others are asked all the same.
    NotDue(Reason),
    /// The whole destination is skipped.
    Skipped(Reason),
    /// It is unfit to send, and the destination's whole share becomes a dead letter (semantics E11).
    DeadLettered(Reason),
}

/// Declares a closed list of codes once: variant, stable code, and the sentence that people read.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $code:literal : $sentence:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = concat!("`", $code, "`: ", $sentence)] $variant,)+
        }

        impl $name {
            /// Every member, in order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// Returns the stable code: metric label, header value, JSON field.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $($name::$variant => $code,)+ }
            }

            /// Returns what the code says, as a sentence without a full stop.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $($name::$variant => $sentence,)+ }
            }
        }
    };
}

codes! {
    /// Why a record, or one destination's share of it, did not leave.
    Reason {
        // Ignored.
        Tombstone = "tombstone": "the record's value is null",
        NotGroup = "not_group": "the event's type is not group",
        NotSelected = "not_selected": "the replay's selection leaves it out",
        Superseded = "superseded": "its group has a newer event behind the replay's range",
        NoDeadLetter = "no_dead_letter": "the record has not the headers of a dead letter",
        LetterCut = "letter_cut": "the dead letter was too large to hold its record, which only the source has",
        AttemptsSpent = "attempts_spent": "it was redriven as often as --max-attempts says",
        NotConfigured = "not_configured": "its destination is not configured any more",
        // Dead letters of a whole record, in the order of semantics E13.
        RecordTooLarge = "record_too_large": "the record is larger than the limit",
        UnsupportedEnvelope = "unsupported_envelope": "the value is a batch, an array, a binary frame or an envelope, not one event",
        EmptyValue = "empty_value": "the record's value is empty",
        InvalidUtf8 = "invalid_utf8": "the value is not UTF-8",
        InvalidJson = "invalid_json": "the value is not JSON",
        NestedTooDeep = "nested_too_deep": "the value is nested deeper than the limit",
        NotAnObject = "not_an_object": "the value is JSON but not an object, or holds none in the event's place",
        InvalidString = "invalid_string": "a key or an id holds a lone surrogate, which is no text",
        MissingType = "missing_type": "the event has no type, or one that is not a string",
        MissingGroupId = "missing_group_id": "groupId is absent, null or empty",
        InvalidGroupId = "invalid_group_id": "groupId is neither a string nor a number",
        GroupIdTooLong = "group_id_too_long": "groupId is longer than 500 characters",
        SuspiciousGroupId = "suspicious_group_id": "groupId is a word that stands for no id, and limits.suspicious_ids refuses those",
        TraitsNotObject = "traits_not_object": "traits is not an object",
        TooManyTraits = "too_many_traits": "the event has more traits than the limit",
        // Skips of one destination.
        FlagFalse = "flag_false": "a flag in integrations excludes it",
        AllFalse = "all_false": "integrations says All: false and does not name it",
        OptIn = "opt_in": "it is opt-in and no flag of its own includes it",
        ConsentDenied = "consent_denied": "the event's consent preferences deny a category that it is in",
        Filtered = "filtered": "the configuration's `when` for it leaves the event out",
        MissingRequired = "missing_required": "a value that it requires is absent",
        NoMember = "no_member": "the event has neither userId nor anonymousId",
        NothingToSend = "nothing_to_send": "none of its operations has anything to say",
        // Dead letter of one destination.
        UnsafePath = "unsafe_path": "a value in its request is empty, `.` or `..`, and could address another resource",
        TooLarge = "too_large": "the record that would leave is larger than its topic takes, or its body than the vendor",
    }
}

impl Reason {
    /// Returns each of these by its code, as a file's reader chooses by words.
    #[must_use]
    pub fn choices(reasons: &[Reason]) -> Vec<(&'static str, Reason)> {
        let by_code = |reason: &Reason| (reason.code(), *reason);
        reasons.iter().map(by_code).collect()
    }

    /// Why a destination of a routed event is skipped, as its definition and the event's flags say.
    pub const SKIPS: &'static [Reason] = &[
        Reason::FlagFalse,
        Reason::AllFalse,
        Reason::OptIn,
        Reason::MissingRequired,
        Reason::NoMember,
        Reason::NothingToSend,
    ];

    /// Why the configuration alone keeps a routed event from a destination.
    pub const WITHHELD: &'static [Reason] = &[Reason::ConsentDenied, Reason::Filtered];

    /// Why a whole record is a dead letter.
    pub const DEAD_LETTERS: &'static [Reason] = &[
        Reason::RecordTooLarge,
        Reason::UnsupportedEnvelope,
        Reason::EmptyValue,
        Reason::InvalidUtf8,
        Reason::InvalidJson,
        Reason::NestedTooDeep,
        Reason::NotAnObject,
        Reason::InvalidString,
        Reason::MissingType,
        Reason::MissingGroupId,
        Reason::InvalidGroupId,
        Reason::GroupIdTooLong,
        Reason::SuspiciousGroupId,
        Reason::TraitsNotObject,
        Reason::TooManyTraits,
    ];

    /// Why one destination's share of a routed event is a dead letter.
    pub const UNFIT: &'static [Reason] =
        &[Reason::InvalidString, Reason::UnsafePath, Reason::TooLarge];
}

codes! {
    /// What was passed over, dropped or decided on the way, without changing the verdict; counted by code.
    NoteCode {
        InvalidMemberId = "invalid_member_id": "an id of the member is neither a string nor a number, and was taken as absent",
        SuspiciousId = "suspicious_id": "an id is blank, or a word that stands for none",
        InvalidTimestamp = "invalid_timestamp": "a timestamp could not be read, and was passed over",
        TraitCollision = "trait_collision": "several keys mean one trait, and one of them won",
        TraitTypeMismatch = "trait_type_mismatch": "a value does not fit its field, and was left out",
        KeyCollision = "key_collision": "two traits meet in one output key, and one of them won",
        KeyEmpty = "key_empty": "nothing is left of a trait's key under the destination's rules for keys, and the trait was left out",
        KeyRefused = "key_refused": "the destination takes no such key, or no more keys",
        NullNotExpressible = "null_not_expressible": "the destination cannot clear a property, and the null was left out",
        UnlistedTrait = "unlisted_trait": "the destination takes listed traits only, and this one is not listed",
        TraitDenied = "trait_denied": "the destination's rules leave this trait out",
        TraitHashed = "trait_hashed": "the destination's rules have this trait leave as a hash",
        FlagInvalid = "flag_invalid": "a flag is neither true, false nor an object, and was taken as absent",
        FlagUnknown = "flag_unknown": "a flag names no known destination",
    }
}

/// One thing noted on the way. `subject` is a key's name (a trait, field or flag), never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note<'a> {
    /// What happened.
    pub code: NoteCode,
    /// The name of the key it happened to.
    pub subject: &'a str,
}

/// Whoever wants to know what happens on an event's path: the worker counts, `explain` tells.
///
/// Destinations are given by their index in the configuration. The methods do nothing by default.
pub trait Observer {
    /// Is told when a group event happened by its own word, in Unix milliseconds.
    fn event_time(&mut self, milliseconds: i64) {
        let _ = milliseconds;
    }

    /// Is told of a note; `destination` is absent where it concerns the event as a whole.
    fn note(&mut self, destination: Option<usize>, note: Note<'_>) {
        let _ = (destination, note);
    }

    /// Is told why an operation does not leave; others of its destination may.
    fn refused(&mut self, destination: usize, operation: usize, refusal: Refusal) {
        let _ = (destination, operation, refusal);
    }

    /// Is told the name of a value that is absent and that an operation requires.
    fn missing(&mut self, destination: usize, subject: &str) {
        let _ = (destination, subject);
    }

    /// Is told a destination's outcome; called once for each destination of a routed event.
    fn outcome(&mut self, destination: usize, outcome: Outcome) {
        let _ = (destination, outcome);
    }
}

/// Observes nothing.
impl Observer for () {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_a_dead_letter_is_listed() {
        // Those that let a record pass by stand first in the list of all.
        let passed_by = Reason::ALL
            .iter()
            .position(|reason| *reason == Reason::RecordTooLarge)
            .unwrap();
        for reason in Reason::ALL.iter().skip(passed_by) {
            let lists = [
                Reason::DEAD_LETTERS,
                Reason::SKIPS,
                Reason::WITHHELD,
                Reason::UNFIT,
            ];
            assert!(
                lists.iter().any(|list| list.contains(reason)),
                "{} is in none",
                reason.code()
            );
        }
    }

    #[test]
    fn f9_codes_are_unique_and_in_snake_case() {
        let codes: Vec<&str> = Reason::ALL
            .iter()
            .map(|reason| reason.code())
            .chain(NoteCode::ALL.iter().map(|note| note.code()))
            .collect();
        let mut unique = codes.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), codes.len());
        assert!(codes.iter().all(|code| {
            code.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        }));
    }
}
