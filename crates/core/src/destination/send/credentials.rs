//! What logs in, and texts that it stands in. None of it can be printed.

use std::collections::BTreeMap;
use std::fmt;

/// A text with credentials in it.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialText(pub(in super::super) Vec<CredentialPart>);

#[derive(Clone, PartialEq, Eq)]
pub(in super::super) enum CredentialPart {
    Literal(String),
    /// The credential of this name; the only one has none.
    Credential(String),
}

impl CredentialText {
    /// Returns the text with the credentials filled in.
    ///
    /// # Errors
    /// [`MissingCredential`] with the name of the first that is not there.
    pub fn fill(&self, credentials: &Credentials) -> Result<String, MissingCredential> {
        let part = |part: &CredentialPart| match part {
            CredentialPart::Literal(text) => Ok(text.clone()),
            CredentialPart::Credential(name) => credentials.get(name),
        };
        self.0.iter().map(part).collect()
    }

    /// Returns the names of the credentials that it needs.
    pub fn credentials(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            CredentialPart::Credential(name) => Some(name.as_str()),
            CredentialPart::Literal(_) => None,
        })
    }
}

/// What logs in, by name; a destination's only credential has the empty name. Never shown.
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, String>);

/// A credential that the definition needs is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingCredential(pub String);

impl Credentials {
    /// Returns the credentials of these names.
    #[must_use]
    pub fn new(credentials: impl IntoIterator<Item = (String, String)>) -> Credentials {
        Credentials(credentials.into_iter().collect())
    }

    /// Returns the credential of that name.
    ///
    /// # Errors
    /// [`MissingCredential`] if there is none.
    pub fn get(&self, name: &str) -> Result<String, MissingCredential> {
        let found = self.0.get(name).cloned();
        found.ok_or_else(|| MissingCredential(name.to_owned()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(secret)")
    }
}
