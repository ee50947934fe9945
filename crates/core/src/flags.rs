//! May this event reach that destination, and why not (semantics F).

mod collision;

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};
use hashbrown::{HashMap, HashSet};

pub use self::collision::{Claim, collisions};
use crate::json::{Kind, LoneSurrogate, Member, Raw};
use crate::verdict::{Note, NoteCode, Observer, Reason};

/// Whether a flag in another spelling counts (F4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlagMatch {
    /// It does: letters and digits only, lower case.
    #[default]
    Fold,
    /// It does not.
    Exact,
}

impl FlagMatch {
    /// The ways to match by the word that configuration uses.
    pub const WORDS: &'static [(&'static str, FlagMatch)] =
        &[("fold", FlagMatch::Fold), ("exact", FlagMatch::Exact)];
}

/// What a destination answers to.
#[derive(Debug, Clone)]
pub struct FlagNames<'n> {
    /// The instance's name, where the configuration writes one.
    pub instance: Option<&'n str>,
    /// The definition's name.
    pub definition: &'n str,
    /// The definition's other names, in the file's order.
    pub aliases: &'n [String],
    /// Whether an event reaches it unless something says otherwise; opt-in where not (F2).
    pub is_enabled_by_default: bool,
}

impl<'n> FlagNames<'n> {
    /// Returns every name from the first in rank to the last, with what a flag that equals it is.
    fn ranked(&self) -> impl Iterator<Item = (&'n str, Decider)> + use<'n> {
        let instance = self.instance.map(|name| (name, Decider::InstanceName));
        let aliases = self
            .aliases
            .iter()
            .enumerate()
            .map(|(index, alias)| (alias.as_str(), Decider::Alias(index)));
        instance
            .into_iter()
            .chain([(self.definition, Decider::DefinitionName)])
            .chain(aliases)
    }
}

/// Which flag decided, from the first in rank to the last (F4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decider {
    /// A flag that equals the instance's name.
    InstanceName,
    /// A flag that equals the definition's name.
    DefinitionName,
    /// A flag that equals the alias of this index.
    Alias(usize),
    /// A flag that equals one of the names by fold.
    Fold,
    /// `All`.
    All,
    /// No flag: the default.
    Default,
}

/// Whether one destination is included, and what decided.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// Why it is excluded; absent where it is included.
    pub excluded: Option<Reason>,
    /// What decided.
    pub decider: Decider,
    /// The flag that decided, as the event spelled it.
    pub flag: Option<&'a str>,
    /// The event's options for this destination: the flag's object (F3).
    pub options: Option<Raw<'a>>,
}

/// All names of all destinations, ready for an event's flags.
#[derive(Debug)]
pub struct Flags {
    exact: HashMap<Box<str>, Vec<(usize, Decider)>>,
    folded: HashMap<Box<str>, Vec<usize>>,
    /// Exact names of every known definition, configured or not: never used by fold for another (F4).
    known: HashSet<Box<str>>,
    is_enabled_by_default: Vec<bool>,
    flag_match: FlagMatch,
}

const ALL: &str = "All";

impl Flags {
    /// Prepares the names of the configured destinations, in their order; `known` are the exact names of all definitions.
    #[must_use]
    pub fn new<'n>(
        destinations: impl IntoIterator<Item = FlagNames<'n>>,
        known: impl IntoIterator<Item = &'n str>,
        flag_match: FlagMatch,
    ) -> Flags {
        let mut flags = Flags {
            exact: HashMap::default(),
            folded: HashMap::default(),
            known: known.into_iter().map(Box::from).collect(),
            is_enabled_by_default: Vec::new(),
            flag_match,
        };
        for (destination, names) in destinations.into_iter().enumerate() {
            flags
                .is_enabled_by_default
                .push(names.is_enabled_by_default);
            for (name, decider) in names.ranked() {
                if decider != Decider::InstanceName {
                    flags.known.insert(Box::from(name));
                }
                flags
                    .exact
                    .entry(Box::from(name))
                    .or_default()
                    .push((destination, decider));
                let folded = flags
                    .folded
                    .entry(Box::from(fold(name, &Bump::new())))
                    .or_default();
                if !folded.contains(&destination) {
                    folded.push(destination);
                }
            }
        }
        flags.folded.remove("");
        flags
    }

    /// Decides for every destination, in the order of the configuration, what the event's `integrations` say.
    ///
    /// # Errors
    /// [`LoneSurrogate`] if a flag's name has one.
    pub fn decide<'a>(
        &self,
        integrations: Option<Raw<'a>>,
        arena: &'a Bump,
        observer: &mut impl Observer,
    ) -> Result<&'a [Decision<'a>], LoneSurrogate> {
        let mut decisions = ArenaVec::with_capacity_in(self.is_enabled_by_default.len(), arena);
        decisions.extend(
            self.is_enabled_by_default
                .iter()
                .map(|is_enabled| Decision {
                    excluded: (!is_enabled).then_some(Reason::OptIn),
                    decider: Decider::Default,
                    flag: None,
                    options: None,
                }),
        );
        let decisions = decisions.into_bump_slice_mut();
        let Some(integrations) = integrations.filter(|integrations| !integrations.is_null()) else {
            return Ok(decisions);
        };
        if integrations.kind() != Kind::Object && !integrations.is_empty_array() {
            observer.note(
                None,
                Note {
                    code: NoteCode::FlagInvalid,
                    subject: "integrations",
                },
            );
            return Ok(decisions);
        }
        let members = integrations.members(arena)?;
        for member in members {
            let Some(flag) = Flag::parse(member.value, arena) else {
                observer.note(
                    None,
                    Note {
                        code: NoteCode::FlagInvalid,
                        subject: member.key,
                    },
                );
                continue;
            };
            self.apply(member.key, flag, decisions, arena, observer);
        }
        self.apply_all(members, decisions, arena);
        Ok(decisions)
    }

    /// Returns the destination's name that `flag` matched, by what decided; absent where none of its own did.
    #[must_use]
    pub fn matched(&self, destination: usize, flag: &str, decider: Decider) -> Option<&str> {
        let own = |by: &(usize, Decider)| {
            by.0 == destination && (decider == Decider::Fold || by.1 == decider)
        };
        let arena = Bump::new();
        let folded = fold(flag, &arena);
        let is_it = |name: &str| {
            if decider == Decider::Fold {
                fold(name, &arena) == folded
            } else {
                name == flag
            }
        };
        let names = self
            .exact
            .iter()
            .filter(|(name, by)| by.iter().any(own) && is_it(name));
        // The first in rank, so that the answer is the same every time.
        let rank = |by: &[(usize, Decider)]| by.iter().filter(|by| own(by)).map(|by| by.1).min();
        names
            .min_by_key(|(_, by)| rank(by))
            .map(|(name, _)| &**name)
    }

    fn apply<'a>(
        &self,
        name: &'a str,
        flag: Flag<'a>,
        decisions: &mut [Decision<'a>],
        arena: &'a Bump,
        observer: &mut impl Observer,
    ) {
        let exact = self.exact.get(name).map(Vec::as_slice).unwrap_or_default();
        for (destination, decider) in exact {
            decide_one(decisions, *destination, *decider, name, flag);
        }
        // What names an instance only is by fold the name of others still: an exclusion is not lost to spelling.
        let folded = fold(name, arena);
        if self.known.contains(name) || folded == "all" {
            return;
        }
        match self
            .folded
            .get(folded)
            .filter(|_| self.flag_match == FlagMatch::Fold)
        {
            Some(targets) => {
                for destination in targets {
                    decide_one(decisions, *destination, Decider::Fold, name, flag);
                }
            }
            None if exact.is_empty() => observer.note(
                None,
                Note {
                    code: NoteCode::FlagUnknown,
                    subject: name,
                },
            ),
            None => {}
        }
    }

    /// Lets `All` decide where no flag of a destination's own did: the exact spelling if valid, else by fold (F5).
    fn apply_all<'a>(
        &self,
        members: &[Member<'a>],
        decisions: &mut [Decision<'a>],
        arena: &'a Bump,
    ) {
        let valid =
            |member: &Member<'a>| Flag::parse(member.value, arena).map(|flag| (member.key, flag));
        let exact = members
            .iter()
            .find(|member| member.key == ALL)
            .and_then(valid);
        let by_fold = || {
            let mut flags = members
                .iter()
                .filter(|member| member.key != ALL && fold(member.key, arena) == "all")
                .filter_map(valid);
            let first = flags.next()?;
            // One exclusion outweighs any inclusion, as for a destination's own flags.
            Some(flags.fold(first, |chosen, flag| {
                if flag.1 == Flag::Exclude && chosen.1 != Flag::Exclude {
                    flag
                } else {
                    chosen
                }
            }))
        };
        let Some((name, flag)) = exact.or_else(by_fold) else {
            return;
        };
        for (decision, is_enabled_by_default) in
            decisions.iter_mut().zip(&self.is_enabled_by_default)
        {
            if decision.decider != Decider::Default {
                continue;
            }
            *decision = Decision {
                excluded: match flag {
                    Flag::Exclude => Some(Reason::AllFalse),
                    // `All: true` does not include an opt-in destination (F2).
                    Flag::Include(_) => (!is_enabled_by_default).then_some(Reason::OptIn),
                },
                decider: Decider::All,
                flag: Some(name),
                options: flag.options(),
            };
        }
    }
}

/// A valid flag (F3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag<'a> {
    Include(Option<Raw<'a>>),
    Exclude,
}

impl<'a> Flag<'a> {
    fn parse(value: Raw<'a>, arena: &'a Bump) -> Option<Flag<'a>> {
        match value.kind() {
            Kind::Boolean if value.text() == "true" => Some(Flag::Include(None)),
            Kind::Boolean => Some(Flag::Exclude),
            Kind::Object => Some(Flag::Include(Some(value))),
            Kind::Array if value.is_empty_array() => Some(Flag::Include(Some(Raw::EMPTY_OBJECT))),
            // An exclusion is not lost because its writer quoted it.
            Kind::String => match value.string(arena).ok()?? {
                text if text.eq_ignore_ascii_case("true") => Some(Flag::Include(None)),
                text if text.eq_ignore_ascii_case("false") => Some(Flag::Exclude),
                _ => None,
            },
            Kind::Null | Kind::Number | Kind::Array => None,
        }
    }

    fn options(self) -> Option<Raw<'a>> {
        match self {
            Flag::Include(options) => options,
            Flag::Exclude => None,
        }
    }
}

/// Lets a flag decide for one destination if it ranks before what decided so far; by fold one exclusion outweighs.
fn decide_one<'a>(
    decisions: &mut [Decision<'a>],
    destination: usize,
    decider: Decider,
    name: &'a str,
    flag: Flag<'a>,
) {
    let Some(decision) = decisions.get_mut(destination) else {
        return;
    };
    let outweighs =
        decider == Decider::Fold && decision.decider == Decider::Fold && flag == Flag::Exclude;
    if decider < decision.decider || (outweighs && decision.excluded.is_none()) {
        *decision = Decision {
            excluded: (flag == Flag::Exclude).then_some(Reason::FlagFalse),
            decider,
            flag: Some(name),
            options: flag.options(),
        };
    }
}

/// Returns the letters and digits of a flag's name in lower case.
pub(crate) fn fold<'a>(name: &'a str, arena: &'a Bump) -> &'a str {
    if name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    {
        return name;
    }
    let mut folded = ArenaString::with_capacity_in(name.len(), arena);
    folded.extend(
        name.chars()
            .filter(|character| character.is_alphanumeric())
            .flat_map(char::to_lowercase),
    );
    folded.into_bump_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Notes(Vec<String>);

    impl Observer for Notes {
        fn note(&mut self, _: Option<usize>, note: Note<'_>) {
            self.0
                .push(format!("{}:{}", note.code.code(), note.subject));
        }
    }

    /// Mixpanel (two instances, one of them named `eu`) and opt-in Salesforce; Segment is known but not configured.
    fn flags(flag_match: FlagMatch) -> Flags {
        let aliases = ["Mixpanel (Actions)".to_owned(), "MP".to_owned()];
        let mixpanel = FlagNames {
            instance: None,
            definition: "Mixpanel",
            aliases: &aliases,
            is_enabled_by_default: true,
        };
        let eu = FlagNames {
            instance: Some("eu"),
            ..mixpanel.clone()
        };
        let salesforce = FlagNames {
            instance: None,
            definition: "Salesforce",
            aliases: &[],
            is_enabled_by_default: false,
        };
        Flags::new(
            [mixpanel, eu, salesforce],
            ["Segment", "mix-panel"],
            flag_match,
        )
    }

    fn decided(integrations: &str, flag_match: FlagMatch) -> String {
        let (flags, arena, mut notes) = (flags(flag_match), Bump::new(), Notes(Vec::new()));
        let decisions = flags
            .decide(Some(Raw::parse(integrations).unwrap()), &arena, &mut notes)
            .unwrap();
        let mut words: Vec<String> = decisions
            .iter()
            .map(|decision| match (decision.excluded, decision.options) {
                (Some(reason), _) => reason.code().to_owned(),
                (None, Some(options)) => options.text().to_owned(),
                (None, None) => "yes".to_owned(),
            })
            .collect();
        words.append(&mut notes.0);
        words.join(" ")
    }

    #[track_caller]
    fn check(integrations: &str, expected: &str) {
        assert_eq!(
            decided(integrations, FlagMatch::Fold),
            expected,
            "{integrations}"
        );
    }

    #[test]
    fn f1_everything_is_included_unless_something_says_otherwise() {
        check("{}", "yes yes opt_in");
        check(r#"{"All":false}"#, "all_false all_false all_false");
        check(r#"{"All":false,"Mixpanel":true}"#, "yes yes all_false");
        check(r#"{"Mixpanel":false}"#, "flag_false flag_false opt_in");
    }

    #[test]
    fn f2_an_opt_in_destination_is_included_only_by_its_own_flag() {
        check(r#"{"All":true}"#, "yes yes opt_in");
        check(r#"{"All":{}}"#, "{} {} opt_in");
        check(r#"{"Salesforce":true}"#, "yes yes yes");
        check(r#"{"salesforce":{}}"#, "yes yes {}");
    }

    #[test]
    fn f3_objects_include_and_are_options_and_the_rest_is_absent() {
        check(r#"{"Mixpanel":{"a":1}}"#, r#"{"a":1} {"a":1} opt_in"#);
        check(r#"{"Mixpanel":{}}"#, "{} {} opt_in");
        for value in ["null", r#""no""#, "0", "[0]"] {
            check(
                &format!(r#"{{"Mixpanel":{value},"All":false}}"#),
                "all_false all_false all_false flag_invalid:Mixpanel",
            );
        }
        for integrations in ["true", "[0]", r#""x""#, "1"] {
            check(integrations, "yes yes opt_in flag_invalid:integrations");
        }
        check("null", "yes yes opt_in");
    }

    #[test]
    fn f4_the_first_valid_in_rank_decides() {
        check(r#"{"Mixpanel":false,"eu":true}"#, "flag_false yes opt_in");
        check(
            r#"{"Mixpanel (Actions)":false,"Mixpanel":true}"#,
            "yes yes opt_in",
        );
        check(
            r#"{"MP":true,"Mixpanel (Actions)":false}"#,
            "flag_false flag_false opt_in",
        );
        check(
            r#"{"Mixpanel":1,"MP":false}"#,
            "flag_false flag_false opt_in flag_invalid:Mixpanel",
        );
        check(r#"{"mixpanel":false,"MP":true}"#, "yes yes opt_in");
        check(r#"{"MP":true,"mixpanel":false}"#, "yes yes opt_in");
        check(r#"{"Mixpanel":true,"MP":false}"#, "yes yes opt_in");
    }

    #[test]
    fn f4_the_name_that_a_flag_matched_is_its_destinations_own() {
        for (destination, flag, decider, expected) in [
            (0, "Mixpanel", Decider::DefinitionName, Some("Mixpanel")),
            (0, "MP", Decider::Alias(1), Some("MP")),
            (0, "mp", Decider::Fold, Some("MP")),
            (1, "eu", Decider::InstanceName, Some("eu")),
            (1, "E.U", Decider::Fold, Some("eu")),
            (2, "SalesForce", Decider::Fold, Some("Salesforce")),
            (0, "eu", Decider::InstanceName, None),
            (0, "EU", Decider::Fold, None),
            (2, "Mixpanel", Decider::DefinitionName, None),
            (2, "mixpanel", Decider::Fold, None),
            (0, "Mixpanel", Decider::Alias(0), None),
            (0, "All", Decider::All, None),
        ] {
            assert_eq!(
                flags(FlagMatch::Fold).matched(destination, flag, decider),
                expected,
                "{destination} {flag} {decider:?}"
            );
        }
        let aliases = ["MIXPANEL".to_owned(), "mix.panel".to_owned()];
        let named = |instance| FlagNames {
            instance,
            definition: "Mixpanel",
            aliases: &aliases,
            is_enabled_by_default: true,
        };
        let flags = Flags::new([named(None), named(Some("Mix-Panel"))], [], FlagMatch::Fold);
        assert_eq!(
            flags.matched(0, "mix panel", Decider::Fold),
            Some("Mixpanel"),
            "the first in rank"
        );
        assert_eq!(
            flags.matched(1, "mix panel", Decider::Fold),
            Some("Mix-Panel"),
            "the first in rank"
        );
    }

    #[test]
    fn f4_by_fold_one_exclusion_outweighs_any_inclusion() {
        check(
            r#"{"mixpanel":true,"MIXPANEL":false,"mp":true}"#,
            "flag_false flag_false opt_in",
        );
        check(
            r#"{"MixPanel (actions)":false}"#,
            "flag_false flag_false opt_in",
        );
        check(r#"{"EU":false}"#, "yes flag_false opt_in");
        // Of several inclusions the first is the event's options.
        check(
            r#"{"mixpanel":{"a":1},"MIXPANEL":true}"#,
            r#"{"a":1} {"a":1} opt_in"#,
        );
    }

    #[test]
    fn f4_a_flag_that_names_a_definition_exactly_is_never_used_by_fold_for_another() {
        check(r#"{"mix-panel":false}"#, "yes yes opt_in");
        check(r#"{"Segment":false}"#, "yes yes opt_in");
    }

    #[test]
    fn f4_exact_leaves_out_the_fold() {
        assert_eq!(
            decided(r#"{"mixpanel":false}"#, FlagMatch::Exact),
            "yes yes opt_in flag_unknown:mixpanel"
        );
        assert_eq!(
            decided(r#"{"Mixpanel":false}"#, FlagMatch::Exact),
            "flag_false flag_false opt_in"
        );
        assert_eq!(
            decided(r#"{"eu":false}"#, FlagMatch::Exact),
            "yes flag_false opt_in"
        );
    }

    #[test]
    fn f5_all_is_exact_if_valid_else_by_fold() {
        check(r#"{"all":false}"#, "all_false all_false all_false");
        check(
            r#"{"ALL":true,"all":false}"#,
            "all_false all_false all_false",
        );
        check(r#"{"All":true,"all":false}"#, "yes yes opt_in");
        check(r#"{"ALL":{"a":1},"all":true}"#, r#"{"a":1} {"a":1} opt_in"#);
        check(
            r#"{"All":null,"all":false}"#,
            "all_false all_false all_false flag_invalid:All",
        );
    }

    #[test]
    fn f6_a_definitions_flag_speaks_for_all_its_instances() {
        check(r#"{"Mixpanel":false}"#, "flag_false flag_false opt_in");
    }

    #[test]
    fn f7_names_of_built_ins_are_names_like_any_other() {
        check(
            r#"{"constructor":true,"__proto__":false}"#,
            "yes yes opt_in flag_unknown:constructor flag_unknown:__proto__",
        );
    }

    #[test]
    fn f8_a_flag_that_names_nobody_is_noted() {
        check(
            r#"{"Mixpanle":false,"":true}"#,
            "yes yes opt_in flag_unknown:Mixpanle flag_unknown:",
        );
    }
}
