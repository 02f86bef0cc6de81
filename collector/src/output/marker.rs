//! A marker for a listing.

use super::View;
use super::words::safe;
use crate::fleet::Marker;

/// A marker on one line: its number, when it was, and what is said of it.
pub fn marker_line(marker: &Marker, view: &View) -> String {
    let Marker {
        id,
        time,
        name,
        host,
        group,
        made: _,
    } = marker;
    let time = when::local(*time, &view.now);
    let about = match (host, group) {
        (Some(host), _) => format!("  on {:.12}", safe(host)),
        (None, Some(group)) => format!("  on {}", safe(group)),
        (None, None) => String::new(),
    };
    format!("{id:>4}  {time}  {}{about}", safe(name))
}
