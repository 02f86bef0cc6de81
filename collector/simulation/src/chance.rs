//! Chance that repeats: the same numbers give the same draw (`SplitMix64`).

/// Draws a number from some others.
pub(crate) fn draw(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |state, number| {
        let mut mixed = (state ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// Whether something happens that happens once in so many times.
pub(crate) fn once_in(times: u64, numbers: &[u64]) -> bool {
    draw(numbers).is_multiple_of(times)
}
