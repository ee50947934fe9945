//! Which destinations a flag by fold may mean together (semantics F4).

use bumpalo::Bump;

use super::{Decider, FlagNames, fold};

/// A name of a destination that is another destination's but for its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'n> {
    /// The destination's index.
    pub destination: usize,
    /// The name.
    pub name: &'n str,
    /// The definition whose name it is; absent for the name of an instance.
    pub definition: Option<&'n str>,
    folded: String,
}

impl Claim<'_> {
    fn collides(&self, other: &Claim<'_>) -> bool {
        // One definition's name means all its instances (F6). It is one if it is one text in memory: another may have the same name.
        let is_shared = matches!((self.definition, other.definition), (Some(own), Some(others)) if std::ptr::eq(own, others));
        self.destination != other.destination
            && !is_shared
            && self.folded == other.folded
            && !self.folded.is_empty()
    }
}

/// Returns each two destinations that have names of one fold, so that a flag may mean both (F4): once a fold, the earlier first.
#[must_use]
pub fn collisions<'n>(
    destinations: impl IntoIterator<Item = FlagNames<'n>>,
) -> Vec<(Claim<'n>, Claim<'n>)> {
    let (mut claims, mut found): (Vec<Claim<'n>>, Vec<(Claim<'n>, Claim<'n>)>) =
        (Vec::new(), Vec::new());
    for (destination, names) in destinations.into_iter().enumerate() {
        for (name, decider) in names.ranked() {
            let definition = (decider != Decider::InstanceName).then_some(names.definition);
            let claim = Claim {
                destination,
                name,
                definition,
                folded: fold(name, &Bump::new()).to_owned(),
            };
            for other in claims.iter().filter(|other| other.collides(&claim)) {
                let is_told = |(first, second): &(Claim<'_>, Claim<'_>)| {
                    (first.destination, second.destination, &second.folded)
                        == (other.destination, destination, &claim.folded)
                };
                if !found.iter().any(is_told) {
                    found.push((other.clone(), claim.clone()));
                }
            }
            claims.push(claim);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says which names of which destinations collide: `0 a ¦ 1 b`.
    #[track_caller]
    fn check(destinations: &[FlagNames<'_>], expected: &[&str]) {
        let told: Vec<String> = collisions(destinations.iter().cloned())
            .iter()
            .map(|(first, second)| {
                format!(
                    "{} {} ¦ {} {}",
                    first.destination, first.name, second.destination, second.name
                )
            })
            .collect();
        assert_eq!(told, expected);
    }

    fn names<'n>(
        instance: Option<&'n str>,
        definition: &'n str,
        aliases: &'n [String],
    ) -> FlagNames<'n> {
        FlagNames {
            instance,
            definition,
            aliases,
            is_enabled_by_default: true,
        }
    }

    #[test]
    fn f4_two_destinations_of_one_name_but_for_its_spelling_collide() {
        let aliases = ["mix panel".to_owned()];
        check(
            &[names(None, "Mixpanel", &[]), names(None, "Other", &[])],
            &[],
        );
        check(
            &[names(None, "Mixpanel", &[]), names(None, "Other", &aliases)],
            &["0 Mixpanel ¦ 1 mix panel"],
        );
        check(
            &[
                names(Some("mix-panel"), "Other", &[]),
                names(None, "Mixpanel", &[]),
            ],
            &["0 mix-panel ¦ 1 Mixpanel"],
        );
        // One destination's own names do not, nor do those that fold to nothing.
        check(&[names(Some("MIXPANEL"), "Mixpanel", &aliases)], &[]);
        check(&[names(None, "---", &[]), names(None, "!", &[])], &[]);
    }

    #[test]
    fn f6_instances_of_one_definition_collide_by_their_own_names_only() {
        let definition = "Mixpanel";
        check(
            &[
                names(None, definition, &[]),
                names(Some("eu"), definition, &[]),
            ],
            &[],
        );
        check(
            &[
                names(Some("EU"), definition, &[]),
                names(Some("eu"), definition, &[]),
            ],
            &["0 EU ¦ 1 eu"],
        );
        let another = definition.to_owned();
        check(
            &[names(None, definition, &[]), names(None, &another, &[])],
            &["0 Mixpanel ¦ 1 Mixpanel"],
        );
    }

    #[test]
    fn f4_each_two_are_told_once_a_fold() {
        let (aliases, more) = (
            ["MIX PANEL", "MP"].map(str::to_owned),
            ["mix-panel", "mp"].map(str::to_owned),
        );
        check(
            &[names(None, "Mixpanel", &aliases), names(None, "A", &more)],
            &["0 Mixpanel ¦ 1 mix-panel", "0 MP ¦ 1 mp"],
        );
        check(
            &[
                names(None, "a", &[]),
                names(None, "A", &[]),
                names(None, "a.", &[]),
            ],
            &["0 a ¦ 1 A", "0 a ¦ 2 a.", "1 A ¦ 2 a."],
        );
    }
}
