//! A destination's `traits`: which it gets, which it does not, which as hashes.

use crate::config::fields::strings;
use crate::diagnostic::Diagnostics;
use crate::traits::{Fold, TraitRules};
use crate::yaml::{Fields, Node};

/// Shorter than this a salt could be guessed, and with it whom a hash stands for.
const MIN_SALT_CHARACTERS: usize = 16;

/// Reads the rules of one destination, whose fields these are; none where nothing is written.
pub(super) fn rules(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> TraitRules {
    let Some(node) = fields.node("traits") else {
        return TraitRules::default();
    };
    let mut fields = Fields::new(node, &fields.name_of("traits"), diagnostics);
    let mut named: Vec<Fold> = Vec::new();
    let mut names = |key: &'static str, fields: &mut Fields<'_>| {
        let found = fields
            .node(key)
            .map(|node| strings(node, &fields.name_of(key), diagnostics))?;
        for (name, place) in &found {
            if named.iter().any(|other| other.is_of(name)) {
                diagnostics.error(
                    *place,
                    format!("{}: two rules for one trait: {name}", fields.name_of(key)),
                );
            }
            named.push(Fold::of(name));
        }
        Some(found.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
    };
    let allow = names("allow", &mut fields);
    let (deny, hash) = (
        names("deny", &mut fields).unwrap_or_default(),
        names("hash", &mut fields).unwrap_or_default(),
    );
    let salt = fields.node("salt");
    let place = fields.place();
    let salt = match (salt, hash.is_empty()) {
        (Some(salt), _) => read_salt(salt, &fields.name_of("salt"), diagnostics),
        (None, true) => String::new(),
        (None, false) => {
            let added = diagnostics.error(place, format!("missing: {}", fields.name_of("salt")));
            added.hint(
                "a hash without one is undone by hashing every likely value: salt: { file: PATH }",
            );
            String::new()
        }
    };
    fields.finish(diagnostics);
    TraitRules {
        allow,
        deny,
        hash,
        salt,
    }
}

fn read_salt(node: &Node, name: &str, diagnostics: &mut Diagnostics) -> String {
    let Some(scalar) = node.as_scalar().filter(|scalar| scalar.is_secret) else {
        diagnostics
            .error(node.place, format!("{name} must be a secret"))
            .hint("write { file: PATH } or { env: NAME }");
        return String::new();
    };
    // A reference that leads nowhere has been told of.
    if !scalar.text.is_empty() && scalar.text.chars().count() < MIN_SALT_CHARACTERS {
        diagnostics.error(
            node.place,
            format!("{name} must have {MIN_SALT_CHARACTERS} characters at least"),
        );
    }
    scalar.text.clone()
}
