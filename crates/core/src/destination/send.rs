//! How a destination's requests are sent, as its file says it under `send:`: where, with which login, how fast, and
//! what the answers mean. `read.rs` reads it; `compile.rs` fills in the settings and makes a [`Sending`] of it.

mod compile;
mod credentials;
mod read;
mod schema;

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::diagnostic::Place;

use super::expression::Text;
use super::settings::SettingSpec;

pub(super) use self::compile::{check, compile};
pub use self::credentials::{CredentialText, Credentials, MissingCredential};
pub(super) use self::read::read;
pub(super) use self::schema::schema;

/// `send:` as written.
#[derive(Debug)]
pub struct SendSpec {
    /// The settings that only sending needs.
    pub settings: Vec<SettingSpec>,
    /// What could not be verified, and what else one must know.
    pub notes: String,
    /// What needs no setting.
    pub rules: Rules,
    /// Answers, and what each means.
    pub examples: Vec<AnswerExample>,
    pub(super) url: UrlSpec,
    pub(super) auth: AuthSpec,
    pub(super) headers: Vec<Parameter>,
    pub(super) query: Vec<Parameter>,
}

/// Where requests go, as written.
#[derive(Debug)]
pub(super) enum UrlSpec {
    One(Text, Place),
    /// By region, the default first.
    ByRegion(Vec<(String, Text, Place)>),
}

/// The login as written.
#[derive(Debug)]
pub(super) enum AuthSpec {
    None,
    Header(Vec<Parameter>),
    Basic(Parameter, Parameter),
    Bearer(Parameter),
    Query(Vec<Parameter>),
    Field(Vec<Parameter>),
    OAuth2 {
        token: Parameter,
        scope: Option<Parameter>,
        base: Option<String>,
    },
}

/// A name and what it is set to.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: Text,
    pub(super) place: Place,
}

/// The part of `send:` that is the same as written and as run.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The field in which each item is told its place in the request, so that the answer can name it.
    pub mark: Option<String>,
    /// Whether a request may hold several items of one key.
    pub repeats: bool,
    /// The most requests in flight.
    pub in_flight: Option<u64>,
    /// How much the vendor takes.
    pub limits: Vec<Limit>,
    /// How the vendor says how long to wait, beside `Retry-After`.
    pub waits: Vec<Wait>,
    /// What answers mean, the first that fits; others go by their status.
    pub answers: Vec<AnswerRule>,
}

/// How much a vendor takes in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What is counted.
    pub counted: Counted,
    /// The most of it.
    pub most: u64,
    /// In this time, wherever it begins.
    pub per: Duration,
    /// For what each count is kept.
    pub of: Scope,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Requests.
    Requests,
    /// Items of requests.
    Items,
    /// Requests that the vendor refuses.
    Refused,
}

impl Counted {
    /// What is counted, by the key that definitions use.
    pub const WORDS: &'static [(&'static str, Counted)] = &[
        ("requests", Counted::Requests),
        ("items", Counted::Items),
        ("refused", Counted::Refused),
    ];
}

/// What a limit or a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// All requests of the destination.
    #[default]
    Destination,
    /// Those of one operation.
    Operation,
    /// Those that hold one key.
    Key,
}

impl Scope {
    /// The scopes by the word that definitions use.
    pub const WORDS: &'static [(&'static str, Scope)] = &[
        ("destination", Scope::Destination),
        ("operation", Scope::Operation),
        ("key", Scope::Key),
    ];
}

/// Where an answer says how long to wait, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Where it says so.
    pub place: WaitPlace,
    /// In which form.
    pub form: WaitForm,
}

/// Where an answer says how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitPlace {
    /// In the header of this name.
    Header(String),
    /// In the body, at this JSON pointer.
    Body(String),
}

/// In which form an answer says how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitForm {
    /// A number of seconds from now.
    Seconds,
    /// A number of milliseconds from now.
    Milliseconds,
    /// A time in seconds since 1970.
    Unix,
    /// A time in milliseconds since 1970.
    UnixMs,
    /// A time as HTTP or ISO 8601 write it.
    Date,
}

impl WaitForm {
    /// The forms by the word that definitions use.
    pub const WORDS: &'static [(&'static str, WaitForm)] = &[
        ("seconds", WaitForm::Seconds),
        ("milliseconds", WaitForm::Milliseconds),
        ("unix", WaitForm::Unix),
        ("unix_ms", WaitForm::UnixMs),
        ("date", WaitForm::Date),
    ];
}

/// What an answer means for an item, or for all of a request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The vendor has it.
    Taken,
    /// The vendor will never take it.
    Refused,
    /// The request has more bytes than the vendor takes.
    TooLarge,
    /// It failed for now: it is sent again after a while.
    Retry,
    /// The vendor wants no more for now.
    Throttled,
    /// The login does not hold. That is never the item's fault.
    Credentials,
    /// Something that it needs is not there yet.
    Later,
}

impl Meaning {
    /// The meanings by the word that definitions use.
    pub const WORDS: &'static [(&'static str, Meaning)] = &[
        ("taken", Meaning::Taken),
        ("refused", Meaning::Refused),
        ("too_large", Meaning::TooLarge),
        ("retry", Meaning::Retry),
        ("throttled", Meaning::Throttled),
        ("credentials", Meaning::Credentials),
        ("later", Meaning::Later),
    ];

    /// Returns the meaning's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        let word = Self::WORDS.iter().find(|(_, meaning)| *meaning == self);
        word.map_or("", |(word, _)| *word)
    }
}

/// What answers of one kind mean.
#[derive(Debug, Clone)]
pub struct AnswerRule {
    /// Where it stands.
    pub place: Place,
    /// The status must be one of these; any if there are none.
    pub statuses: Vec<u16>,
    /// The operation must be one of these; any if there are none.
    pub operations: Vec<String>,
    /// What must stand in the body.
    pub conditions: Vec<BodyCondition>,
    /// The list in the body that says which items are meant; all are if there is none.
    pub items: Option<Items>,
    /// What it means.
    pub means: Meaning,
    /// What it means for the items that are not meant.
    pub others: Meaning,
    /// Where the body says why, as a JSON pointer.
    pub detail: Option<String>,
    /// What a wait is for.
    pub of: Scope,
    /// How long an item is tried again that is for later.
    pub patience: Duration,
    /// What becomes of it then.
    pub then: Meaning,
}

impl AnswerRule {
    /// How long an item is tried again that is for later, unless the rule says otherwise.
    pub const PATIENCE: Duration = Duration::from_mins(10);
}

/// What must stand in an answer's body.
#[derive(Debug, Clone)]
pub struct BodyCondition {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What; in a text, `*` stands for anything.
    pub value: Value,
}

/// A list in an answer's body that names items of the request.
#[derive(Debug, Clone)]
pub struct Items {
    /// The list, as a JSON pointer.
    pub list: String,
    /// How an entry names its item.
    pub named_by: NamedBy,
    /// What must stand in an entry so that its item is meant.
    pub conditions: Vec<BodyCondition>,
    /// Where an entry says why.
    pub detail: Option<String>,
}

/// How an entry of an answer names an item of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedBy {
    /// It is the entry at the item's place.
    Order,
    /// By the item's place, at this pointer, from 0.
    Index(String),
    /// By the item's mark, at this pointer.
    Mark(String),
}

/// An answer, and what it must mean.
#[derive(Debug)]
pub struct AnswerExample {
    /// What it shows.
    pub about: String,
    /// Where it stands.
    pub place: Place,
    /// The operation that is answered; the first if it says none.
    pub operation: Option<String>,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// What it means for each item of the request.
    pub means: Vec<Meaning>,
    /// How long it says to wait.
    pub wait: Option<Duration>,
    /// Why it says that it refuses.
    pub detail: Option<String>,
}

/// How an instance's requests are sent: `send:` with the settings filled in. Some of them may be secrets.
#[derive(Clone)]
pub struct Sending {
    /// Scheme, host and what stands before each request's path.
    pub url: String,
    /// The login.
    pub auth: Auth,
    /// Headers that each request has.
    pub headers: Vec<(String, String)>,
    /// Query parameters that each request has.
    pub query: Vec<(String, String)>,
    /// The rest.
    pub rules: Rules,
}

impl fmt::Debug for Sending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sending")
    }
}

/// The login, but for the credentials.
#[derive(Clone)]
pub enum Auth {
    /// None is needed, or the items hold it.
    None,
    /// Headers.
    Header(Vec<(String, CredentialText)>),
    /// User and password, as HTTP has them.
    Basic(CredentialText, CredentialText),
    /// A token, as HTTP has it.
    Bearer(CredentialText),
    /// Query parameters.
    Query(Vec<(String, CredentialText)>),
    /// Fields of the body, beside the items.
    Field(Vec<(String, CredentialText)>),
    /// A token that is asked for with `client_id` and `client_secret`, two of the credentials.
    OAuth2 {
        /// Where the token is asked for.
        token_url: String,
        /// For what, if that must be said.
        scope: Option<String>,
        /// The field of the answer that holds the URL to send to.
        base: Option<String>,
    },
}
