//! A server that gives OAuth tokens for a client's secret, as OpenID Connect's token endpoint does.
//!
//! Its tokens are unsigned, which a Kafka takes that was not told of any signing key: whether a broker checks signatures is
//! not ours to test, and what the client does is the same.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Serves until the tests end.
pub(crate) fn serve(secret: &'static str) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener
        .set_nonblocking(true)
        .expect("a listener can be set");
    let address = listener.local_addr().expect("a listener has an address");
    let routes = Router::new().route(
        "/token",
        post(move |headers: HeaderMap| async move { answer(&headers, secret) }),
    );
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the system gives a thread");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
            axum::serve(listener, routes)
                .await
                .expect("the listener listens");
        });
    });
    address
}

/// Answers a client that says who it is: the token's subject is its id.
fn answer(headers: &HeaderMap, secret: &str) -> impl IntoResponse + use<> {
    let (status, body) = judge(headers, secret);
    (status, [(header::CONTENT_TYPE, "application/json")], body)
}

fn judge(headers: &HeaderMap, secret: &str) -> (StatusCode, String) {
    let credentials = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    let credentials =
        credentials.and_then(|encoded| String::from_utf8(STANDARD.decode(encoded).ok()?).ok());
    match credentials
        .as_deref()
        .and_then(|credentials| credentials.split_once(':'))
    {
        Some((client, given)) if given == secret => (
            StatusCode::OK,
            format!(
                r#"{{"access_token":"{}","token_type":"Bearer","expires_in":3600}}"#,
                token(client)
            ),
        ),
        _ => (
            StatusCode::UNAUTHORIZED,
            r#"{"error":"invalid_client"}"#.to_owned(),
        ),
    }
}

fn token(subject: &str) -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(
        r#"{{"sub":"{subject}","iat":{now},"exp":{}}}"#,
        now + 3600
    ));
    format!("{header}.{claims}.")
}
