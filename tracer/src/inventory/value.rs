//! Values in `/proc` and `/sys`: one a file.

use std::fs;
use std::path::Path;

/// Longer values are cut.
const LONGEST_VALUE: usize = 256;

/// What a file says, without the newline at its end.
pub(super) fn value_of(file: &Path) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    let value = String::from_utf8_lossy(&bytes);
    let value = value.trim_end_matches(['\n', '\0']);
    Some(value.chars().take(LONGEST_VALUE).collect())
}
