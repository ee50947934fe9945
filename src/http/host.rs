//! By which name a page answers. A page elsewhere can have its own name point here (DNS rebinding), and its browser then takes us for
//! that page's own server; it cannot do so with a number or with `localhost`.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Sends away a browser that came by a name, or that a page elsewhere sent.
pub(super) async fn check(request: Request, next: Next) -> Response {
    if !request.headers().get_all(header::HOST).iter().all(is_ours) {
        let text = "groupcast answers here to localhost and to addresses written as numbers only\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    if request.method() != Method::GET && is_from_elsewhere(request.headers()) {
        return (StatusCode::FORBIDDEN, "a page elsewhere asks\n").into_response();
    }
    next.run(request).await
}

/// What a browser says of the page that asks; other programs say nothing.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin")
}

fn is_ours(host: &HeaderValue) -> bool {
    let host = host.to_str().unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_and_localhost_are_ours() {
        for host in [
            "localhost",
            "LOCALHOST:9465",
            "127.0.0.1:80",
            "[::1]:9465",
            "10.0.0.1",
            "10.0.0.1:9465",
            "[fe80::1]",
        ] {
            assert!(is_ours(&HeaderValue::from_static(host)), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com:80",
            "127.0.0.1.example.com",
            "10.0.0.1.nip.io:9465",
            "localhost:x",
            "groupcast",
        ] {
            assert!(!is_ours(&HeaderValue::from_static(host)), "{host}");
        }
    }
}
