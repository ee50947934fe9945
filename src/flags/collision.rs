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
        self.destination != other.destination && !is_shared && self.folded == other.folded && !self.folded.is_empty()
    }
}

/// Returns each two destinations that have names of one fold, so that a flag may mean both (F4): once a fold, the earlier first.
#[must_use]
pub fn collisions<'n>(destinations: impl IntoIterator<Item = FlagNames<'n>>) -> Vec<(Claim<'n>, Claim<'n>)> {
    let (mut claims, mut found): (Vec<Claim<'n>>, Vec<(Claim<'n>, Claim<'n>)>) = (Vec::new(), Vec::new());
    for (destination, names) in destinations.into_iter().enumerate() {
        for (name, decider) in names.ranked() {
            let definition = (decider != Decider::InstanceName).then_some(names.definition);
            let claim = Claim { destination, name, definition, folded: fold(name, &Bump::new()).to_owned() };
            for other in claims.iter().filter(|other| other.collides(&claim)) {
                let is_told = |(first, second): &(Claim<'_>, Claim<'_>)| {
                    (first.destination, second.destination, &second.folded) == (other.destination, destination, &claim.folded)
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
