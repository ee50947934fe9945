//! Which destinations the member's consent keeps an event from (semantics F10).

use bumpalo::Bump;

use crate::event::Event;
use crate::flags::fold;
use crate::json::{Kind, LoneSurrogate, Member, Raw};

/// What a category means that the event has no preference for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// Consent is given.
    #[default]
    Allow,
    /// Consent is denied.
    Deny,
}

impl Missing {
    /// The meanings by the word that the configuration uses.
    pub const WORDS: &'static [(&'static str, Missing)] =
        &[("allow", Missing::Allow), ("deny", Missing::Deny)];
}

/// The categories that one destination needs consent for, by fold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Categories(Vec<Box<str>>);

impl Categories {
    pub(crate) fn new(names: &[String]) -> Categories {
        let folded = |name: &String| Box::from(fold(name, &Bump::new()));
        Categories(names.iter().map(folded).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether consent to one of the categories is denied, or missing where that means the same.
    pub(crate) fn are_denied<'a>(
        &self,
        preferences: &[Member<'a>],
        missing: Missing,
        arena: &'a Bump,
    ) -> bool {
        self.0.iter().any(|category| {
            let said = preferences
                .iter()
                .filter(|preference| *fold(preference.key, arena) == **category)
                .filter_map(|preference| is_given(preference.value, arena));
            // One denial outweighs any consent, so that it is not lost to spelling.
            let is_given = said.reduce(|all, one| all && one);
            !is_given.unwrap_or(missing == Missing::Allow)
        })
    }
}

/// Returns the preferences of an event by category, `context.consent.categoryPreferences`.
///
/// # Errors
/// [`LoneSurrogate`] if a key on the way, or a category, has one.
pub(crate) fn preferences<'a>(
    event: &Event<'a>,
    arena: &'a Bump,
) -> Result<&'a [Member<'a>], LoneSurrogate> {
    let mut value = event.field("context").unwrap_or(Raw::NULL);
    for key in ["consent", "categoryPreferences"] {
        let member = value
            .members(arena)?
            .iter()
            .find(|member| member.key == key);
        value = member.map_or(Raw::NULL, |member| member.value);
    }
    value.members(arena)
}

/// Reads a preference: a boolean, or a string of one in any case.
fn is_given<'a>(value: Raw<'a>, arena: &'a Bump) -> Option<bool> {
    let text = match value.kind() {
        Kind::Boolean => value.text(),
        Kind::String => value.string(arena).ok()??,
        Kind::Null | Kind::Number | Kind::Array | Kind::Object => return None,
    };
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match (is("true"), is("false")) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        (false, false) => None,
    }
}
