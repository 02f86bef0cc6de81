//! A viewer's token for a listing.

use super::View;
use super::words::safe;
use crate::store::ViewToken;

/// A token on one line: what it is called, what it is good for and until when.
pub fn token_line(token: &ViewToken, view: &View) -> String {
    let ViewToken {
        name,
        scopes,
        made: _,
        expires,
        revoked,
    } = token;
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    let now = view.now.timestamp().as_nanosecond();
    let is_over = i128::from(expires.as_nanos()) <= now;
    let standing = match revoked {
        _ if is_over => format!("ended {}", when::moment(*expires, &view.now)),
        Some(time) => format!("revoked {}", when::moment(*time, &view.now)),
        None => format!("until {}", when::moment(*expires, &view.now)),
    };
    format!("{:<16}  {:<20}  {standing}", safe(name), scopes.join(","))
}

#[cfg(test)]
mod tests {
    use jiff::Zoned;

    use super::*;
    use crate::store::Scope;

    #[test]
    fn a_token_is_one_line() {
        let now: Zoned = "2026-11-21T14:00:00Z[UTC]".parse().unwrap();
        let view = View { now };
        let token = ViewToken {
            name: "grafana".to_owned(),
            scopes: [Scope::Metrics, Scope::Read].into(),
            made: "2026-11-01T14:00:00Z".parse().unwrap(),
            expires: "2026-11-22T15:00:00Z".parse().unwrap(),
            revoked: None,
        };
        let line = token_line(&token, &view);
        assert!(
            line.starts_with("grafana           read,metrics          until "),
            "{line}"
        );
        let revoked = ViewToken {
            revoked: Some("2026-11-21T13:00:00Z".parse().unwrap()),
            ..token.clone()
        };
        assert!(token_line(&revoked, &view).contains("revoked "));
        let over = ViewToken {
            expires: "2026-11-21T13:00:00Z".parse().unwrap(),
            ..token
        };
        assert!(token_line(&over, &view).contains("ended "));
    }
}
