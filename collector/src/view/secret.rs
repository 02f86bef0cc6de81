//! What a viewer shows: a random secret, written so that whoever finds it lying about knows what it is.

use std::fmt;
use std::str::FromStr;

use change::wire::{from_hex, hex};
use sha2::{Digest as _, Sha256};

/// What the text begins with.
const PREFIX: &str = "tracer-view1-";

/// A viewer's secret. Only whoever made it and the viewer know it; the store keeps a hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 20]);

impl Secret {
    /// What the store keeps of it: it is random, so one round of hashing keeps it.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex(&self.0))
    }
}

impl FromStr for Secret {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix(PREFIX).ok_or(())?;
        from_hex(digits).map(Self).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_was_written_and_nothing_else_is() {
        let secret = Secret([0xA7; 20]);
        let text = secret.to_string();
        assert!(text.starts_with("tracer-view1-a7a7"), "{text}");
        assert!(text.parse() == Ok(secret));
        for wrong in ["", "tracer-view1-", &text[1..], &text[..text.len() - 1]] {
            assert!(wrong.parse::<Secret>().is_err(), "{wrong}");
        }
    }
}
