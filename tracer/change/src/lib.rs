//! What each part is.
