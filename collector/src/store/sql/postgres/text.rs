//! The text of a statement as PostgreSQL wants it.

/// Makes `$1` of `?1`, and of each `?` without a number the next one.
pub(super) fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 8);
    let (mut last, mut rest) = (0_u32, sql);
    while let Some((before, behind)) = rest.split_once('?') {
        let digits = behind.len()
            - behind
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        let (own, behind) = behind.split_at(digits);
        let number = own.parse().unwrap_or(last + 1);
        last = last.max(number);
        out.extend([before, "$", &number.to_string()]);
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_get_their_numbers() {
        assert_eq!(numbered("a = ?2 AND b = ?1"), "a = $2 AND b = $1");
        assert_eq!(
            numbered("a = ? AND (b, c) < (?, ?12)"),
            "a = $1 AND (b, c) < ($2, $12)"
        );
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
    }
}
