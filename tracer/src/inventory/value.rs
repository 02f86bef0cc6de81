//! Values in `/proc` and `/sys`: one a file.

use std::path::Path;

use crate::bounded;

/// Longer values are cut, in characters.
const LONGEST_VALUE: usize = 256;

/// No character takes more bytes.
const LONGEST_BYTES: u64 = 4 * LONGEST_VALUE as u64;

/// What a file says, without the newline at its end.
pub(super) fn value_of(file: &Path) -> Option<String> {
    let value = bounded::read_text(file, LONGEST_BYTES)?;
    let value = value.trim_end_matches(['\n', '\0']);
    Some(value.chars().take(LONGEST_VALUE).collect())
}
