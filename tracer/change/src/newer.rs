//! Words of a newer peer, which this program shows as they are.

use std::sync::{Mutex, PoisonError};

/// A word is no longer than this, in bytes.
const LONGEST: usize = 32;
/// So many of them are told apart: each stays in memory.
const MOST: usize = 64;

static KNOWN: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// Holds a word that only a newer peer knows the meaning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NewerWord(&'static str);

impl NewerWord {
    /// The word, where it can be one: small letters and dashes, and not one of too many.
    pub(crate) fn of(word: &str) -> Option<Self> {
        let is_word = word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if !is_word || !(1..=LONGEST).contains(&word.len()) {
            return None;
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(|known| **known == word) {
            return Some(Self(known));
        }
        if known.len() >= MOST {
            return None;
        }
        let kept: &'static str = Box::leak(word.to_owned().into_boxed_str());
        known.push(kept);
        Some(Self(kept))
    }

    /// The word as it is.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_once_and_what_is_none_is_refused() {
        let word = NewerWord::of("cpu-quota").unwrap();
        assert_eq!(word.as_str(), "cpu-quota");
        assert_eq!(NewerWord::of("cpu-quota"), Some(word));
        for none in [
            "",
            "Upper",
            "a b",
            "a:b",
            "\u{e9}",
            &"x".repeat(LONGEST + 1),
        ] {
            assert_eq!(NewerWord::of(none), None, "{none}");
        }
        let many = (0..1 << 10).filter(|n| {
            let letters = format!("{n:b}").replace('0', "a").replace('1', "b");
            NewerWord::of(&letters).is_some()
        });
        assert!(many.count() < MOST);
    }
}
