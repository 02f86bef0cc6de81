//! Who may ask: a token is looked up at each request, so that one that is revoked is good for nothing at once.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, header};

use super::{Error, Secret};
use crate::clock::now;
use crate::store::{Scope, ViewToken, ViewTokenReader};

/// Lets viewers in.
#[derive(Clone)]
pub(super) struct Access {
    tokens: Arc<Mutex<ViewTokenReader>>,
}

impl Access {
    pub(super) fn new(tokens: Arc<Mutex<ViewTokenReader>>) -> Self {
        Self { tokens }
    }

    /// The token that a request shows, if it is good for a scope.
    pub(super) async fn check(
        &self,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<ViewToken, Error> {
        let shown = headers.get(header::AUTHORIZATION).ok_or(Error::NoToken)?;
        let shown = shown.to_str().ok().and_then(bearer);
        let secret: Secret = shown
            .ok_or(Error::NoToken)?
            .parse()
            .map_err(|()| Error::BadToken)?;
        let tokens = Arc::clone(&self.tokens);
        let token = tokio::task::spawn_blocking(move || {
            let tokens = tokens.lock().unwrap_or_else(PoisonError::into_inner);
            tokens.open_token(&secret.hash(), now())
        });
        let token = token.await??.ok_or(Error::BadToken)?;
        if token.scopes.contains(&scope) {
            return Ok(token);
        }
        Err(Error::NoScope(scope))
    }
}

/// What stands behind `Bearer`, which may be written in any case (RFC 9110, 11.1).
fn bearer(shown: &str) -> Option<&str> {
    let (scheme, secret) = shown.trim().split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then_some(secret.trim())
}
