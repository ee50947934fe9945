//! The playground's page and its one question. No secret is behind it, and a hostile page in the same browser learns nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::host;
use crate::playground::Playground;

/// Bytes of a question: an event of the largest size that is read, as a JSON string, and some definitions.
const MAX_QUESTION_BYTES: usize = 4 << 20;

/// Questions that are answered at once; the next ones wait, and are sent away after a while.
const MAX_ANSWERING: usize = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything that the page loads is its own, and nobody may frame it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("../playground/index.html");
const STYLE: &str = include_str!("../playground/page.css");
const SCRIPT: &str = include_str!("../playground/page.js");
const JSON_SCRIPT: &str = include_str!("../playground/json.js");
const ICON: &str = include_str!("../playground/icon.svg");

#[derive(Clone)]
struct Served {
    playground: Arc<Playground>,
    places: Arc<Semaphore>,
}

/// Returns the page at `/` and all that it asks for.
pub fn routes(playground: Playground) -> Router {
    let asset = |media_type: &'static str, text: &'static str| {
        get(async move || ([(header::CONTENT_TYPE, media_type)], text))
    };
    Router::new()
        .route("/", asset("text/html; charset=utf-8", PAGE))
        .route(
            "/playground/page.css",
            asset("text/css; charset=utf-8", STYLE),
        )
        .route(
            "/playground/page.js",
            asset("text/javascript; charset=utf-8", SCRIPT),
        )
        .route(
            "/playground/json.js",
            asset("text/javascript; charset=utf-8", JSON_SCRIPT),
        )
        .route("/playground/icon.svg", asset("image/svg+xml", ICON))
        .route("/playground/offer", get(offer))
        .route("/playground/explain", post(explain))
        .layer(DefaultBodyLimit::max(MAX_QUESTION_BYTES))
        .layer(from_fn(host::check))
        .layer(map_response(guarded))
        .with_state(Served {
            playground: Arc::new(playground),
            places: Arc::new(Semaphore::new(MAX_ANSWERING)),
        })
}

/// Adds what keeps a browser from doing more with an answer than is meant.
async fn guarded(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn offer(State(served): State<Served>) -> Response {
    json(&served.playground.offered())
}

async fn explain(State(Served { playground, places }): State<Served>, question: Bytes) -> Response {
    let question = match serde_json::from_slice(&question) {
        Ok(question) => question,
        Err(error) => {
            return (
                StatusCode::BAD_REQUEST,
                format!("not a question: {error}\n"),
            )
                .into_response();
        }
    };
    let Ok(Ok(place)) = tokio::time::timeout(PATIENCE, places.acquire_owned()).await else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many questions at once\n",
        )
            .into_response();
    };
    // Routing takes a processor for as long as the event is large, and others are served meanwhile.
    let answered = tokio::task::spawn_blocking(move || {
        let answer = playground.answer(&question);
        drop(place);
        match answer {
            Ok(answer) => json(&answer),
            Err(unknown) => (StatusCode::BAD_REQUEST, unknown + "\n").into_response(),
        }
    });
    answered
        .await
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
