//! Names for numeric users and groups, as this host has them now.
//! Who made a change has the name of that time in the change itself; owners of files do not.

use std::collections::BTreeMap;
use std::fs;

/// Maps numeric users and groups to names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    /// Reads the host's own files; other name services are not asked, so some have no name.
    pub fn of_host() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/etc/passwd"), &read("/etc/group"))
    }

    pub(super) fn parse(passwd: &str, group: &str) -> Self {
        Self {
            users: by_id(passwd),
            groups: by_id(group),
        }
    }

    /// `user:group`, with the numbers where there are no names.
    pub(super) fn owner(&self, uid: u32, gid: u32) -> String {
        let name = |names: &BTreeMap<u32, String>, id: u32| {
            names.get(&id).map_or_else(|| id.to_string(), Clone::clone)
        };
        format!("{}:{}", name(&self.users, uid), name(&self.groups, gid))
    }
}

fn by_id(lines: &str) -> BTreeMap<u32, String> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    // Of several names for one number the first one counts, as for the system.
    lines.lines().rev().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts() {
        let names = Names::parse(
            "root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n#\n",
            "www-data:x:33:\n",
        );
        assert_eq!(names.owner(0, 33), "root:www-data");
        assert_eq!(names.owner(5, 6), "5:6");
    }
}
