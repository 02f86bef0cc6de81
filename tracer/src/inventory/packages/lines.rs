//! Lines of a database that is too large to be read as a whole.

use std::io;

/// Of longer lines the beginning is read: the rest is no part of what is of interest.
pub(super) const LONGEST_LINE: usize = 4096;

/// Reads a line without its end, and of a long one the beginning; tells how much was consumed.
pub(super) fn read_line(from: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let mut consumed = 0;
    loop {
        let available = from.fill_buf()?;
        if available.is_empty() {
            return Ok(consumed);
        }
        let end = available.iter().position(|&byte| byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        let room = LONGEST_LINE.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(&part[..room]);
        let used = end.map_or(available.len(), |end| end + 1);
        from.consume(used);
        consumed += used;
        if end.is_some() {
            return Ok(consumed);
        }
    }
}
