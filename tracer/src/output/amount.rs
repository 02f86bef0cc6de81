//! Amounts as people read them: `1,234`, `12 MiB`, `3 changes`.

/// A number with its thousands set apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in the largest unit that leaves a whole part.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return counted(bytes, "byte");
    }
    let mut unit = 0;
    // In tenths, so that no floating point rounds 1023.99 up to the next unit.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match (tenths / 10, tenths % 10) {
        (whole, tenth) if whole < 10 && tenth > 0 => format!("{whole}.{tenth} {}", UNITS[unit]),
        (whole, _) => format!("{whole} {}", UNITS[unit]),
    }
}

/// A number and what it counts.
pub(super) fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", thousands(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short_and_plain() {
        assert_eq!(
            [0, 12, 123, 1234, 1_234_567].map(thousands),
            ["0", "12", "123", "1,234", "1,234,567"]
        );
        assert_eq!(
            [1, 1023, 1024, 1536, 1_048_575, 64 * 1024 * 1024, u64::MAX].map(size),
            [
                "1 byte",
                "1,023 bytes",
                "1 KiB",
                "1.5 KiB",
                "1023 KiB",
                "64 MiB",
                "16777215 TiB"
            ]
        );
    }
}
