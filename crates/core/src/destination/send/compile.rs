//! From `send:` as written to a [`Sending`]: settings are filled in, and names looked up.

use crate::diagnostic::{Diagnostics, Place};

use super::super::definition::{Definition, Encoding, Layout};
use super::super::expression::{Operand, Segment, Text};
use super::super::settings::{SettingValue, Settings};
use super::credentials::{CredentialPart, CredentialText};
use super::{Auth, AuthSpec, Parameter, SendSpec, Sending, UrlSpec};

/// Reports what is wrong with a definition's `send:`, with some value for each setting.
pub(in super::super) fn check(definition: &Definition, diagnostics: &mut Diagnostics) {
    let Some(spec) = &definition.send else {
        return;
    };
    let settings = Settings::placeholders(&definition.settings);
    let own = Settings::placeholders(&spec.settings);
    compile(spec, &settings, &own, None, diagnostics);
    if let UrlSpec::ByRegion(regions) = &spec.url {
        for (_, url, place) in regions {
            Compiler::new(&settings, &own, diagnostics).url(url, *place);
        }
    }
    check_operations(definition, spec, diagnostics);
}

/// What names an operation must name one, and fields beside the items must have a place.
fn check_operations(definition: &Definition, spec: &SendSpec, diagnostics: &mut Diagnostics) {
    let rules = spec.rules.answers.iter();
    let of_rules = rules.flat_map(|rule| rule.operations.iter().map(|id| (id, rule.place)));
    let examples = spec.examples.iter();
    let of_examples =
        examples.filter_map(|example| Some((example.operation.as_ref()?, example.place)));
    for (id, place) in of_rules.chain(of_examples) {
        let ids = definition.operations.iter().map(|known| known.id.as_str());
        if !ids.clone().any(|known| known == id) {
            diagnostics
                .error(place, format!("no such operation: {id}"))
                .suggest(id, ids);
        }
    }
    let AuthSpec::Field(fields) = &spec.auth else {
        return;
    };
    for operation in &definition.operations {
        let batch = &operation.batch;
        if batch.layout == Layout::Array && batch.encoding == Encoding::Json {
            diagnostics.error(
                fields.first().map(|field| field.place),
                format!(
                    "an array has no place for send.auth.field: {}",
                    operation.id
                ),
            );
        }
    }
}

/// Fills in the settings: the definition's, and those of `send:` alone. `None` if that fails, which
/// [`check`] has ruled out but for a region that is none.
pub(in super::super) fn compile(
    spec: &SendSpec,
    settings: &Settings,
    own: &Settings,
    region: Option<&str>,
    diagnostics: &mut Diagnostics,
) -> Option<Sending> {
    let mut compiler = Compiler::new(settings, own, diagnostics);
    let url = compiler.url_of(&spec.url, region)?;
    let auth = compiler.auth(&spec.auth, &url)?;
    Some(Sending {
        auth,
        headers: compiler.plain_all(&spec.headers)?,
        query: compiler.plain_all(&spec.query)?,
        rules: spec.rules.clone(),
        url,
    })
}

struct Compiler<'c> {
    settings: &'c Settings,
    own: &'c Settings,
    diagnostics: &'c mut Diagnostics,
}

impl<'c> Compiler<'c> {
    fn new(
        settings: &'c Settings,
        own: &'c Settings,
        diagnostics: &'c mut Diagnostics,
    ) -> Compiler<'c> {
        Compiler {
            settings,
            own,
            diagnostics,
        }
    }

    fn url_of(&mut self, url: &UrlSpec, region: Option<&str>) -> Option<String> {
        match (url, region) {
            (UrlSpec::One(url, place), None) => self.url(url, *place),
            (UrlSpec::ByRegion(regions), None) => {
                let (_, url, place) = regions.first()?;
                self.url(url, *place)
            }
            (UrlSpec::ByRegion(regions), Some(wanted)) => {
                let Some((_, url, place)) = regions.iter().find(|(name, ..)| name == wanted) else {
                    let names: Vec<&str> = regions.iter().map(|(name, ..)| &**name).collect();
                    let known = names.join(", ");
                    self.diagnostics
                        .error(None, format!("no such region: {wanted}"))
                        .hint(format!("the regions are {known}"));
                    return None;
                };
                self.url(url, *place)
            }
            (UrlSpec::One(..), Some(wanted)) => {
                let message = format!("the destination has no regions: {wanted}");
                self.diagnostics.error(None, message);
                None
            }
        }
    }

    /// A URL has a scheme that keeps secrets, unless it is a setting as a whole.
    fn url(&mut self, text: &Text, place: Place) -> Option<String> {
        let url = self.plain(text, place)?;
        let is_setting = text.expression().is_some();
        if !is_setting && !url.starts_with("https://") {
            self.diagnostics
                .error(place, "send.url must begin with https://");
        }
        Some(url.trim_end_matches('/').to_owned())
    }

    fn auth(&mut self, auth: &AuthSpec, url: &str) -> Option<Auth> {
        Some(match auth {
            AuthSpec::None => Auth::None,
            AuthSpec::Header(headers) => Auth::Header(self.secret_all(headers)?),
            AuthSpec::Basic(user, password) => {
                Auth::Basic(self.secret(user)?, self.secret(password)?)
            }
            AuthSpec::Bearer(token) => Auth::Bearer(self.secret(token)?),
            AuthSpec::Query(query) => Auth::Query(self.secret_all(query)?),
            AuthSpec::Field(fields) => Auth::Field(self.secret_all(fields)?),
            AuthSpec::OAuth2 { token, scope, base } => {
                let token_url = self.plain(&token.value, token.place)?;
                let is_path = token_url.starts_with('/');
                let scope = scope.as_ref();
                let scope = scope.map(|scope| self.plain(&scope.value, scope.place));
                Auth::OAuth2 {
                    token_url: if is_path {
                        format!("{url}{token_url}")
                    } else {
                        token_url
                    },
                    scope: match scope {
                        Some(scope) => Some(scope?),
                        None => None,
                    },
                    base: base.clone(),
                }
            }
        })
    }

    fn plain_all(&mut self, parameters: &[Parameter]) -> Option<Vec<(String, String)>> {
        let one = |parameter: &Parameter| {
            let value = self.plain(&parameter.value, parameter.place)?;
            Some((parameter.name.clone(), value))
        };
        parameters.iter().map(one).collect()
    }

    fn secret_all(&mut self, parameters: &[Parameter]) -> Option<Vec<(String, CredentialText)>> {
        let one = |parameter: &Parameter| {
            let value = self.secret(parameter)?;
            Some((parameter.name.clone(), value))
        };
        parameters.iter().map(one).collect()
    }

    fn plain(&mut self, text: &Text, place: Place) -> Option<String> {
        let mut filled = String::new();
        for part in self.parts(text, place)? {
            match part {
                CredentialPart::Literal(text) => filled.push_str(&text),
                CredentialPart::Credential(_) => {
                    self.diagnostics
                        .error(place, "a credential belongs under send.auth only");
                    return None;
                }
            }
        }
        Some(filled)
    }

    fn secret(&mut self, parameter: &Parameter) -> Option<CredentialText> {
        let parts = self.parts(&parameter.value, parameter.place)?;
        Some(CredentialText(parts))
    }

    fn parts(&mut self, text: &Text, place: Place) -> Option<Vec<CredentialPart>> {
        let segments = text.segments.iter();
        segments.map(|segment| self.part(segment, place)).collect()
    }

    fn part(&mut self, segment: &Segment, place: Place) -> Option<CredentialPart> {
        let expression = match segment {
            Segment::Literal(text) => return Some(CredentialPart::Literal(text.clone())),
            Segment::Expression(expression) => expression,
        };
        let ([Operand::Name(name)], []) = (&*expression.alternatives, &*expression.filters) else {
            self.diagnostics
                .error(place, "send takes names without ?? and filters");
            return None;
        };
        match name
            .segments
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["credential"] => Some(CredentialPart::Credential(String::new())),
            ["credential", which] => Some(CredentialPart::Credential((*which).to_owned())),
            ["settings", setting] => self.setting(setting, name.place),
            _ => {
                self.diagnostics
                    .error(name.place, format!("no name of send: {}", name.written()))
                    .hint("the names are credential, credential.… and settings.…");
                None
            }
        }
    }

    fn setting(&mut self, name: &str, place: Place) -> Option<CredentialPart> {
        let found = self.own.get(name).or_else(|| self.settings.get(name));
        let text = match found {
            Some(SettingValue::String(text)) => text.clone(),
            Some(SettingValue::Integer(number)) => number.to_string(),
            Some(SettingValue::Boolean(value)) => value.to_string(),
            Some(SettingValue::List(_) | SettingValue::Map(_)) => {
                self.diagnostics
                    .error(place, format!("a setting that is no text: {name}"));
                return None;
            }
            None => {
                self.diagnostics
                    .error(place, format!("unknown setting: {name}"));
                return None;
            }
        };
        Some(CredentialPart::Literal(text))
    }
}
