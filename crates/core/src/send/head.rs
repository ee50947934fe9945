//! Method, URL and headers of a request, with the credentials in them. Made at the last moment, and shown to nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::destination::send::{Auth, CredentialText, Credentials, MissingCredential, Sending};

/// What stands before a request's body. It holds credentials, so that there is no way to print it.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
}

/// A token that was asked for, and where it is good for.
#[derive(Clone, Default)]
pub struct Token {
    /// The token.
    pub token: String,
    /// The URL to send to, where the answer named one.
    pub base: Option<String>,
}

/// Returns the head of a request, `request` being method and path as records have them.
///
/// # Errors
/// [`MissingCredential`] if one is not there; without `token` that is OAuth2's.
pub fn head(
    sending: &Sending,
    request: &str,
    content_type: &str,
    credentials: &Credentials,
    token: Option<&Token>,
) -> Result<Head, MissingCredential> {
    let (method, path) = request.split_once(' ').unwrap_or(("POST", request));
    let token = if let Auth::OAuth2 { .. } = &sending.auth {
        Some(token.ok_or_else(|| MissingCredential("access token".to_owned()))?)
    } else {
        None
    };
    let base = token.and_then(|token| token.base.as_deref());
    let mut url = format!("{}{path}", base.unwrap_or(&sending.url));
    for (name, value) in &sending.query {
        add_parameter(name, value, &mut url);
    }
    if let Auth::Query(query) = &sending.auth {
        for (name, value) in query {
            add_parameter(name, &value.fill(credentials)?, &mut url);
        }
    }
    let mut headers = sending.headers.clone();
    let is_content_type = |(name, _): &(String, String)| name.eq_ignore_ascii_case("content-type");
    if !headers.iter().any(is_content_type) {
        headers.push(("Content-Type".to_owned(), content_type.to_owned()));
    }
    headers.extend(login(&sending.auth, credentials, token)?);
    Ok(Head {
        method: method.to_owned(),
        url,
        headers,
    })
}

fn login(
    auth: &Auth,
    credentials: &Credentials,
    token: Option<&Token>,
) -> Result<Vec<(String, String)>, MissingCredential> {
    let authorization = |value: String| vec![("Authorization".to_owned(), value)];
    Ok(match auth {
        Auth::None | Auth::Query(_) | Auth::Field(_) => Vec::new(),
        Auth::Header(headers) => fill_all(headers, credentials)?,
        Auth::Basic(user, password) => {
            let user = user.fill(credentials)?;
            let password = password.fill(credentials)?;
            authorization(format!(
                "Basic {}",
                STANDARD.encode(format!("{user}:{password}"))
            ))
        }
        Auth::Bearer(token) => authorization(format!("Bearer {}", token.fill(credentials)?)),
        Auth::OAuth2 { .. } => {
            let token = token.map(|token| &*token.token).unwrap_or_default();
            authorization(format!("Bearer {token}"))
        }
    })
}

/// Returns the credentials that stand in the body, beside the items.
///
/// # Errors
/// [`MissingCredential`] if one is not there.
pub fn fields(
    sending: &Sending,
    credentials: &Credentials,
) -> Result<Vec<(String, String)>, MissingCredential> {
    match &sending.auth {
        Auth::Field(fields) => fill_all(fields, credentials),
        Auth::None
        | Auth::Header(_)
        | Auth::Basic(..)
        | Auth::Bearer(_)
        | Auth::Query(_)
        | Auth::OAuth2 { .. } => Ok(Vec::new()),
    }
}

fn fill_all(
    texts: &[(String, CredentialText)],
    credentials: &Credentials,
) -> Result<Vec<(String, String)>, MissingCredential> {
    let fill =
        |(name, text): &(String, CredentialText)| Ok((name.clone(), text.fill(credentials)?));
    texts.iter().map(fill).collect()
}

fn add_parameter(name: &str, value: &str, url: &mut String) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.extend(utf8_percent_encode(name, NON_ALPHANUMERIC));
    url.push('=');
    url.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
}

#[cfg(test)]
mod tests {
    use crate::destination::{Definition, Settings};

    use super::*;

    fn head_of(
        send: &str,
        token: Option<&Token>,
    ) -> Result<(String, Vec<String>), MissingCredential> {
        let text = format!(
            "name: A\nabout: A.\nmembership: none\nnulls: drop\nsettings: {{ app: {{ type: string, default: a1 }} }}\n\
             operations: [{{ id: a, request: POST /, body: {{ a: 1 }} }}]\nsend:\n{send}"
        );
        let definition = Definition::parse("x", "x.yaml", &text)
            .unwrap_or_else(|faults| panic!("{faults:?}\n{text}"));
        let mut diagnostics = crate::diagnostic::Diagnostics::new("x.yaml");
        let place = crate::diagnostic::Place::default();
        let settings = definition.read_settings(None, place, &mut diagnostics);
        let sending = definition
            .sending(&settings, &Settings::default(), None)
            .unwrap()
            .unwrap();
        let credentials = [("", "s3cr3t"), ("user", "me"), ("key", "k y")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let credentials = Credentials::new(credentials);
        let head = head(
            &sending,
            "PUT /p?q=1",
            "application/json",
            &credentials,
            token,
        )?;
        assert_eq!(head.method, "PUT");
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        Ok((head.url, headers.collect()))
    }

    fn check(send: &str, url: &str, headers: &[&str]) {
        let found = head_of(send, None).unwrap();
        assert_eq!(found.0, url, "{send}");
        assert_eq!(found.1, headers, "{send}");
    }

    #[test]
    fn each_login_stands_where_it_belongs() {
        let json = "Content-Type: application/json";
        let url = "https://a.example/v1/p?q=1";
        let rows: [(&str, &str, &[&str]); 6] = [
            ("none", url, &[json]),
            (
                "{ bearer: \"${credential}\" }",
                url,
                &[json, "Authorization: Bearer s3cr3t"],
            ),
            (
                "{ header: { X-Key: \"key=${credential.key}\" } }",
                url,
                &[json, "X-Key: key=k y"],
            ),
            (
                "{ basic: { user: \"${credential.user}\", password: \"${credential}\" } }",
                url,
                &[json, "Authorization: Basic bWU6czNjcjN0"],
            ),
            (
                "{ query: { api_key: \"${credential.key}\" } }",
                "https://a.example/v1/p?q=1&api%5Fkey=k%20y",
                &[json],
            ),
            ("{ field: { api_key: \"${credential}\" } }", url, &[json]),
        ];
        for (auth, url, headers) in rows {
            let send = format!("  url: https://a.example/v1/\n  auth: {auth}\n");
            check(&send, url, headers);
        }
    }

    #[test]
    fn headers_and_query_are_the_definitions() {
        check(
            "  url: \"https://${settings.app}.example\"\n  auth: none\n  headers: { content-type: application/vnd.api+json }\n  query: { v: \"1\" }\n",
            "https://a1.example/p?q=1&v=1",
            &["content-type: application/vnd.api+json"],
        );
    }

    #[test]
    fn a_token_says_where_it_is_good_for() {
        let send = "  url: https://login.example\n  auth: { oauth2: { token: /token, base: instance_url } }\n";
        let token = Token {
            token: "t1".to_owned(),
            base: Some("https://one.example".to_owned()),
        };
        let (url, headers) = head_of(send, Some(&token)).unwrap();
        assert_eq!(url, "https://one.example/p?q=1");
        assert_eq!(headers[1], "Authorization: Bearer t1");
        assert_eq!(
            head_of(send, None),
            Err(MissingCredential("access token".to_owned()))
        );
    }

    #[test]
    fn a_missing_credential_is_named() {
        let send = "  url: https://a.example\n  auth: { bearer: \"${credential.other}\" }\n";
        assert_eq!(
            head_of(send, None),
            Err(MissingCredential("other".to_owned()))
        );
    }
}
