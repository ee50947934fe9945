//! Custom traits over many events: how each is spelled, of what kinds it is, and which reserved one it may stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{Finding, by_count};
use crate::json::{self, Kind};
use crate::traits::{Fold, PARTS, Traits, Vocabulary};

/// What else people call reserved traits, folded: what no likeness of letters finds.
const SYNONYMS: [(&str, &str); 22] = [
    ("companyname", "name"),
    ("accountname", "name"),
    ("organizationname", "name"),
    ("headcount", "employees"),
    ("employeecount", "employees"),
    ("numberofemployees", "employees"),
    ("companysize", "employees"),
    ("url", "website"),
    ("homepage", "website"),
    ("domain", "website"),
    ("companywebsite", "website"),
    ("phonenumber", "phone"),
    ("telephone", "phone"),
    ("emailaddress", "email"),
    ("mail", "email"),
    ("logo", "avatar"),
    ("logourl", "avatar"),
    ("annualrevenue", "revenue"),
    ("sector", "industry"),
    ("plantier", "plan"),
    ("subscriptionplan", "plan"),
    ("creationdate", "createdAt"),
];

/// All custom traits of a sample, by fold.
#[derive(Debug, Default)]
pub(super) struct Customs {
    traits: BTreeMap<String, Custom>,
}

#[derive(Debug, Default)]
struct Custom {
    events: usize,
    spellings: BTreeMap<String, usize>,
    kinds: BTreeMap<&'static str, usize>,
    /// The reserved traits that came in the same event.
    beside: BTreeSet<String>,
    /// Whether a definition or the configuration says its name.
    is_mentioned: bool,
}

impl Customs {
    pub(super) fn add(&mut self, traits: &Traits<'_>) {
        let reserved = traits
            .entries()
            .iter()
            .filter(|entry| traits.is_reserved(entry))
            .map(|entry| entry.name.to_owned());
        let parts = traits
            .address()
            .items()
            .iter()
            .map(|item| item.name.to_owned());
        let reserved: BTreeSet<String> = reserved.chain(parts).collect();
        for entry in traits
            .entries()
            .iter()
            .filter(|entry| !traits.is_reserved(entry))
        {
            let custom = self
                .traits
                .entry(Fold::of(entry.key()).as_str().to_owned())
                .or_default();
            custom.events += 1;
            custom.is_mentioned |= entry.id.is_some();
            custom.beside.extend(reserved.iter().cloned());
            *custom.spellings.entry(entry.key().to_owned()).or_default() += 1;
            if entry.value.kind() != Kind::Null {
                *custom.kinds.entry(entry.value.kind().name()).or_default() += 1;
            }
            if entry.name != entry.key() {
                // The configuration lists it: it leaves in one spelling.
                custom.spellings.clear();
            }
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let lookalikes = self.lookalikes().map(|(custom, name)| {
            let (spelling, is_beside) = (custom.spelling(), custom.beside.contains(name));
            let but = if is_beside {
                ", but some events carry both"
            } else {
                ""
            };
            custom.finding("lookalike", format!("{spelling} looks like {name}{but}"))
        });
        let spellings = self
            .traits
            .values()
            .filter(|custom| custom.spellings.len() > 1)
            .map(|custom| {
                let spellings: Vec<&str> = custom.spellings.keys().map(String::as_str).collect();
                custom.finding(
                    "spellings",
                    format!(
                        "one trait comes in several spellings: {}",
                        spellings.join(", ")
                    ),
                )
            });
        let drift = self
            .traits
            .values()
            .filter(|custom| custom.kinds.len() > 1)
            .map(|custom| {
                let kinds: Vec<String> = custom
                    .kinds
                    .iter()
                    .map(|(kind, count)| format!("{kind} in {}", n_events(*count)))
                    .collect();
                custom.finding(
                    "type_drift",
                    format!("its type changes: {}", kinds.join(", ")),
                )
            });
        let mut findings = by_count(lookalikes);
        findings.extend(by_count(spellings));
        findings.extend(by_count(drift));
        findings
    }

    /// Returns each trait that nothing mentions and that looks like a reserved one.
    fn lookalikes(&self) -> impl Iterator<Item = (&Custom, &'static str)> {
        let unmentioned = self
            .traits
            .iter()
            .filter(|(_, custom)| !custom.is_mentioned);
        unmentioned.filter_map(|(fold, custom)| lookalike(fold).map(|name| (custom, name)))
    }

    /// Returns the most frequent spelling of a custom trait; absent for one that an alias is suggested for, or that is none.
    pub(super) fn spelling_of(&self, name: &str) -> Option<&str> {
        let custom = self.traits.get(Fold::of(name).as_str());
        if custom.is_some_and(|custom| self.aliases().any(|(alias, _)| std::ptr::eq(alias, custom)))
        {
            return None;
        }
        custom
            .map(Custom::spelling)
            .filter(|spelling| !spelling.is_empty())
    }

    /// Returns the lookalikes that may be aliases: no event carries the reserved trait too.
    fn aliases(&self) -> impl Iterator<Item = (&Custom, &'static str)> {
        self.lookalikes()
            .filter(|(custom, name)| !custom.beside.contains(*name))
    }

    /// Returns what would make the findings go away, as YAML.
    pub(super) fn configuration(&self) -> String {
        let aliases: Vec<_> = self.aliases().collect();
        let is_alias = |custom: &Custom| {
            aliases
                .iter()
                .any(|(alias, _)| std::ptr::eq(*alias, custom))
        };
        let known: Vec<String> = self
            .traits
            .values()
            .filter(|custom| custom.spellings.len() > 1 && !is_alias(custom))
            .map(|custom| json::quoted(custom.spelling()))
            .collect();
        let mut yaml = String::new();
        if !known.is_empty() || !aliases.is_empty() {
            yaml.push_str("traits:\n");
        }
        // Writing to a string cannot fail.
        if !known.is_empty() {
            writeln!(yaml, "  known: [{}]", known.join(", ")).unwrap_or_default();
        }
        for (index, (custom, name)) in aliases.iter().enumerate() {
            if index == 0 {
                yaml.push_str("  aliases:\n");
            }
            writeln!(
                yaml,
                "    {}: {name}   # {}",
                json::quoted(custom.spelling()),
                n_events(custom.events)
            )
            .unwrap_or_default();
        }
        yaml
    }
}

impl Custom {
    /// Returns the most frequent spelling.
    fn spelling(&self) -> &str {
        self.spellings
            .iter()
            .max_by_key(|(_, count)| **count)
            .map_or("", |(spelling, _)| spelling)
    }

    fn finding(&self, kind: &'static str, sentence: String) -> Finding {
        Finding {
            kind,
            subject: self.spelling().to_owned(),
            events: self.events,
            sentence,
        }
    }
}

/// Says how many events.
fn n_events(count: usize) -> String {
    if count == 1 {
        "1 event".to_owned()
    } else {
        format!("{count} events")
    }
}

/// Returns the reserved trait or address part that a folded key looks like.
fn lookalike(fold: &str) -> Option<&'static str> {
    if let Some((_, name)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == fold) {
        return Some(name);
    }
    let mut names = Vocabulary::reserved().chain(PARTS.iter().map(|part| part.name()));
    names.find(|name| is_slip(&name.to_lowercase(), fold))
}

/// Returns whether one word is the other with a slip of the pen. Of a short word every other word is one.
fn is_slip(word: &str, other: &str) -> bool {
    let letters = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    match (
        strsim::osa_distance(word, other),
        word.len().min(other.len()),
    ) {
        (1, 6..) | (2, 10..) => true,
        (1, 4..) => letters(word) == letters(other),
        (_, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_synonyms_and_nothing_else() {
        for (fold, expected) in [
            ("headcount", Some("employees")),
            ("employes", Some("employees")),
            ("industy", Some("industry")),
            ("postalcod", Some("postalCode")),
            ("creatdat", Some("createdAt")),
            ("planet", None),
            ("seats", None),
            ("totalbilled", None),
            ("nam", None),
            ("emial", Some("email")),
            ("adress", Some("address")),
            ("status", None),
            ("stage", None),
        ] {
            assert_eq!(lookalike(fold), expected, "{fold}");
        }
    }
}
