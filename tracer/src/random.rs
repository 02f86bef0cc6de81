//! Random bytes, for keys and names.

/// As many as a key has.
pub(crate) fn bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // Blocks until the kernel has entropy; only a signal can cut it short (getrandom(2)).
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
    bytes
}

/// A name of 32 hex digits that nothing else has.
pub(crate) fn name() -> String {
    let hash = blake3::Hash::from_bytes(bytes()).to_hex();
    hash[..32].to_owned()
}
