//! The mounts of this mount namespace, read from `/proc/self/mountinfo` (proc(5)).

use std::io;

use change::Text;
use rustix::fs::makedev;

use super::path;

/// File systems whose files are made up by the kernel, and `autofs`, where looking at a file mounts
/// something. They are no place for files that people change; settings in them are told otherwise.
const NOT_FILES: [&str; 18] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "fusectl",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "sysfs",
    "tracefs",
];

/// Describes one mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its id, as records of the kernel name it.
    pub id: u32,
    /// The id of the mount that it is mounted on.
    pub parent: u32,
    /// The device as `stat(2)` gives it for most file systems; Btrfs gives its subvolumes others.
    pub dev: u64,
    /// The directory of the file system that is mounted, as seen from the file system's own root.
    pub root: Text,
    /// Where it is mounted.
    pub point: Text,
    /// The file system's type.
    pub fs_type: String,
    /// What is mounted: a device, or what the file system's own words say.
    pub source: Text,
    /// The options of this mount alone.
    pub options: String,
    /// The options of the file system, the same wherever it is mounted.
    pub super_options: String,
}

impl Mount {
    /// Whether there are files in it which people change.
    pub fn holds_files(&self) -> bool {
        !NOT_FILES.contains(&self.fs_type.as_str())
    }
}

/// Holds the mounts of one moment in the order in which they hide each other: a later one wins.
#[derive(Clone, Debug, Default)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Reads what is mounted now.
    pub fn read() -> io::Result<Self> {
        Self::parse(&std::fs::read("/proc/self/mountinfo")?)
    }

    /// Reads the lines of a `mountinfo`.
    pub fn parse(text: &[u8]) -> io::Result<Self> {
        let lines = text.split(|&byte| byte == b'\n');
        let mounts = lines.filter(|line| !line.is_empty()).map(|line| {
            parse_line(line).ok_or_else(|| {
                let line = Text::from(line);
                let message = format!("read `/proc/self/mountinfo`: unknown line `{line}`");
                io::Error::new(io::ErrorKind::InvalidData, message)
            })
        });
        mounts.collect::<io::Result<_>>().map(Self)
    }

    /// All mounts.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }

    /// The mount with that id.
    pub fn by_id(&self, id: u32) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.id == id)
    }

    /// A mount of that device; of several the one that shows most of it.
    pub fn by_dev(&self, dev: u64) -> Option<&Mount> {
        let of_dev = self.0.iter().filter(|mount| mount.dev == dev);
        of_dev.min_by_key(|mount| (mount.root.as_bytes().len(), mount.point.as_bytes().len()))
    }

    /// The mount that is mounted at that very path.
    pub fn at(&self, path: &[u8]) -> Option<&Mount> {
        let mut latest_first = self.0.iter().rev();
        latest_first.find(|mount| mount.point.as_bytes() == path)
    }

    /// The mount through which a path is reached.
    pub fn containing(&self, path: &[u8]) -> Option<&Mount> {
        path::ancestors(path).find_map(|ancestor| self.at(ancestor))
    }

    /// Where a path is in its file system: the same for all mounts that show the file.
    pub(crate) fn place(&self, path: &[u8]) -> Option<Place> {
        let mount = self.containing(path)?;
        let rest = path::below(path, mount.point.as_bytes())?;
        let inner = if rest.is_empty() {
            mount.root.clone()
        } else {
            path::join(mount.root.as_bytes(), rest)
        };
        Some(Place {
            dev: mount.dev,
            inner,
        })
    }
}

/// Says where a file is, whatever it is mounted on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    dev: u64,
    inner: Text,
}

impl Place {
    /// Whether this is `tree` itself or lies in it.
    pub(crate) fn is_within(&self, tree: &Self) -> bool {
        self.dev == tree.dev && path::is_within(self.inner.as_bytes(), tree.inner.as_bytes())
    }
}

/// Takes apart `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let (major, minor) = str::from_utf8(fields.next()?).ok()?.split_once(':')?;
    let dev = makedev(major.parse().ok()?, minor.parse().ok()?);
    let root = unescape(fields.next()?);
    let point = unescape(fields.next()?);
    let options = String::from_utf8_lossy(fields.next()?).into_owned();
    // Between the options and the dash there are any number of optional fields.
    fields.find(|field| *field == b"-")?;
    let fs_type = String::from_utf8_lossy(fields.next()?).into_owned();
    let source = unescape(fields.next().unwrap_or_default());
    let super_options = unescape(fields.next().unwrap_or_default()).to_lossy();
    Some(Mount {
        id,
        parent,
        dev,
        root,
        point,
        fs_type,
        source,
        options,
        super_options,
    })
}

fn number(digits: &[u8]) -> Option<u32> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Turns `\040` and its like back into the bytes that would have broken the line.
pub(crate) fn unescape(field: &[u8]) -> Text {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3).and_then(octal_byte));
        if let Some(byte) = octal.flatten() {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    Text::from(bytes)
}

fn octal_byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &[u8] = br"22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
25 22 0:23 / /proc rw,nosuid shared:2 master:3 - proc proc rw
30 22 254:2 /data /srv/with\040space\134 rw - xfs /dev/vdb rw
31 22 254:1 /etc/app /opt/app rw,relatime shared:1 - ext4 /dev/vda1 rw
32 22 0:50 / /srv/with\040space\134/tmp rw - tmpfs none rw
";

    #[test]
    fn every_field_is_read_with_its_escapes() {
        let mounts = Mounts::parse(MOUNTINFO).unwrap();
        let data = mounts.by_id(30).unwrap();
        assert_eq!(data.point, Text::from("/srv/with space\\"));
        assert_eq!((data.parent, data.dev), (22, makedev(254, 2)));
        assert_eq!(
            (data.root.clone(), data.fs_type.as_str()),
            (Text::from("/data"), "xfs")
        );
        assert_eq!(data.source, Text::from("/dev/vdb"));
        let [root, data_options] = [22, 30].map(|id| mounts.by_id(id).unwrap());
        assert_eq!(root.options, "rw,relatime");
        assert_eq!(data_options.super_options, "rw");
        assert!(data.holds_files());
        assert!(!mounts.by_id(25).unwrap().holds_files());
        assert_eq!(
            mounts.by_dev(makedev(254, 1)).unwrap().point,
            Text::from("/")
        );
    }

    #[test]
    fn a_bind_mount_shows_the_same_place() {
        let mounts = Mounts::parse(MOUNTINFO).unwrap();
        let alias = mounts.place(b"/opt/app/x").unwrap();
        assert_eq!(alias, mounts.place(b"/etc/app/x").unwrap());
        assert!(alias.is_within(&mounts.place(b"/etc").unwrap()));
        assert!(
            !mounts
                .place(b"/srv")
                .unwrap()
                .is_within(&mounts.place(b"/srv/with space\\").unwrap())
        );
    }

    #[test]
    fn the_deepest_mount_reaches_a_path() {
        let mounts = Mounts::parse(MOUNTINFO).unwrap();
        let id = |path: &[u8]| mounts.containing(path).unwrap().id;
        assert_eq!(id(b"/srv/with space\\/tmp/x"), 32);
        assert_eq!(id(b"/srv/with space\\/x"), 30);
        assert_eq!(id(b"/procfs"), 22);
    }

    #[test]
    fn this_host_s_own_mounts_are_read() {
        let mounts = Mounts::read().unwrap();
        assert!(mounts.containing(b"/").is_some());
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let error = Mounts::parse(b"22 1 what\n").unwrap_err();
        assert!(error.to_string().contains("`22 1 what`"), "{error}");
    }
}
