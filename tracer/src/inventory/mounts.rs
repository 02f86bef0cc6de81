//! What is mounted, from `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`), and swap space, from `/proc/swaps`
//! (`proc_swaps(5)`).
//!
//! A mount is known by its mount point, as that is what people and programs see; of several on one point
//! the one on top is the fact, and says how many it hides. Swap space is known as `swap:` and the device or
//! file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use change::{FactValue, Op, Text};
use globset::GlobSet;

use super::Facts;
use crate::config;
use crate::enrich::mask::mask_named;
use crate::observed::MountTouched;
use crate::trees::{Mount, Mounts, any_of, is_match, path, unescape};

/// Longer options are cut: an overlay of many layers names each of them.
const LONGEST_OPTIONS: usize = 1024;

/// How many mounts at the same point are hidden below this one.
const HIDES: &str = "hides";
const SWAP: &str = "swap:";

/// Which mounts are no news.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    points: GlobSet,
    types: Vec<String>,
}

impl Noise {
    pub(super) fn new(config: &config::Mounts) -> io::Result<Self> {
        let config::Mounts {
            ignore,
            ignore_types,
        } = config;
        Ok(Self {
            points: any_of(ignore)?,
            types: ignore_types.clone(),
        })
    }

    fn is(&self, mount: &Mount) -> bool {
        self.types.contains(&mount.fs_type) || is_match(&self.points, mount.point.as_bytes())
    }
}

/// Where mounts are, by their ids, and the devices of their file systems.
pub type Places = BTreeMap<u32, (Text, u64)>;

/// Holds what is mounted at one moment.
#[derive(Clone, Debug, Default)]
pub struct Mounted {
    /// What of it is a fact.
    pub facts: Facts,
    places: Places,
}

impl Mounted {
    /// The mounts that are elsewhere or gone in a later moment.
    pub fn left(self, later: &Self) -> Places {
        let is_left = |(id, place): &(u32, _)| later.places.get(id) != Some(place);
        self.places.into_iter().filter(is_left).collect()
    }

    /// Which of the `differing` facts something that was seen to be done has changed; `past` is where the
    /// mounts were that have left their places since. None where it is not known which.
    pub fn about<'d>(
        &self,
        past: &Places,
        touched: &MountTouched,
        differing: impl Iterator<Item = (&'d Text, bool)>,
    ) -> Option<BTreeSet<Text>> {
        match touched {
            MountTouched::Place {
                mount,
                within,
                gone,
            } => {
                // An id that is free again is given to the next mount.
                let (first, then) = if *gone {
                    (past, &self.places)
                } else {
                    (&self.places, past)
                };
                let (point, _) = first.get(mount).or_else(|| then.get(mount))?;
                let within = within.as_bytes().strip_prefix(b"/").unwrap_or_default();
                let point = if within.is_empty() {
                    point.clone()
                } else {
                    path::join(point.as_bytes(), within)
                };
                let mut keys = BTreeSet::new();
                if *gone {
                    // What is unmounted takes along what is mounted below it.
                    let is_along = |key: &Text| path::is_within(key.as_bytes(), point.as_bytes());
                    let gone = differing.filter(|(key, is_there)| !is_there && is_along(key));
                    keys.extend(gone.map(|(key, _)| key.clone()));
                } else {
                    keys.extend(self.came_from(past, &point).cloned());
                }
                keys.insert(point);
                Some(keys)
            }
            MountTouched::Path(path) => Some([path.clone()].into()),
            MountTouched::FileSystem { dev } => {
                let all = self.places.values().chain(past.values());
                let of_it = all.filter(|(_, other)| other == dev);
                Some(of_it.map(|(point, _)| point.clone()).collect())
            }
            MountTouched::Swap { path } => Some([swap_key(&canonical(path))].into()),
        }
    }

    /// Where the mounts at a point were before, if they were moved.
    fn came_from<'p>(
        &'p self,
        past: &'p Places,
        point: &'p Text,
    ) -> impl Iterator<Item = &'p Text> {
        let here = self.places.iter().filter(move |(_, (now, _))| now == point);
        here.filter_map(|(id, _)| past.get(id).map(|(then, _)| then))
    }
}

/// The device or file of swap space, as the kernel names it. Only in `/dev` are links followed: elsewhere
/// looking at a path may mount something, or take long.
fn canonical(path: &Text) -> Text {
    let Some(name) = path.as_utf8().filter(|name| name.starts_with("/dev/")) else {
        return path.clone();
    };
    match fs::canonicalize(name) {
        Ok(device) => device.into_os_string().into_encoded_bytes().into(),
        Err(_gone) => path.clone(),
    }
}

fn swap_key(path: &Text) -> Text {
    [SWAP.as_bytes(), path.as_bytes()].concat().into()
}

/// Reads what is mounted now, and what swap space there is.
pub(super) fn read(mountinfo: &Path, swaps: &Path, noise: &Noise) -> io::Result<Mounted> {
    let mounts = Mounts::parse(&fs::read(mountinfo)?)?;
    let mut mounted = of(&mounts, noise);
    match fs::read(swaps) {
        Ok(swaps) => mounted.facts.extend(swap_facts(&swaps)),
        // A kernel that does not swap.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(mounted)
}

fn of(mounts: &Mounts, noise: &Noise) -> Mounted {
    let mut mounted = Mounted::default();
    let mut at_point: BTreeMap<&Text, u32> = BTreeMap::new();
    for mount in mounts.iter() {
        let place = (mount.point.clone(), mount.dev);
        mounted.places.insert(mount.id, place);
        let hides = at_point.entry(&mount.point).or_default();
        if !noise.is(mount) {
            // A later one at the same point lies on top.
            let value = describe(mount, *hides);
            mounted.facts.insert(mount.point.clone(), value);
            *hides += 1;
        }
    }
    mounted
}

fn describe(mount: &Mount, hides: u32) -> FactValue {
    let text = |text: &str| -> String {
        let masked = mask_named(text);
        masked.chars().take(LONGEST_OPTIONS).collect()
    };
    let mut attributes = BTreeMap::from([
        ("source".to_owned(), text(&mount.source.to_lossy())),
        ("type".to_owned(), mount.fs_type.clone()),
        ("options".to_owned(), text(&mount.options)),
        ("super_options".to_owned(), text(&super_options(mount))),
    ]);
    if mount.root.as_bytes() != b"/" {
        attributes.insert("root".to_owned(), mount.root.to_lossy());
    }
    if hides > 0 {
        attributes.insert(HIDES.to_owned(), hides.to_string());
    }
    FactValue::Attributes(attributes)
}

/// The options of the file system, but for sizes that follow the memory that the kernel leaves: another kernel
/// would make them others.
fn super_options(mount: &Mount) -> String {
    let follows_memory = mount.fs_type == "devtmpfs" || mount.point.as_bytes() == b"/run";
    let is_size = |option: &&str| option.starts_with("size=") || option.starts_with("nr_inodes=");
    let options = mount.super_options.split(',');
    let kept: Vec<&str> = options
        .filter(|option| !(follows_memory && is_size(option)))
        .collect();
    kept.join(",")
}

/// `Filename Type Size Used Priority`, below a line of these words.
fn swap_facts(swaps: &[u8]) -> Facts {
    let lines = swaps.split(|&byte| byte == b'\n').skip(1);
    lines.filter_map(swap_fact).collect()
}

fn swap_fact(line: &[u8]) -> Option<(Text, FactValue)> {
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let mut words = line.split(is_space).filter(|word| !word.is_empty());
    let name = unescape(words.next()?);
    let mut next = || words.next().map(|word| String::from_utf8_lossy(word));
    let (kind, kib, _used, priority) = (next()?, next()?, next()?, next()?);
    let bytes = kib.parse::<u64>().ok()?.saturating_mul(1024);
    let attributes = BTreeMap::from([
        ("type".to_owned(), kind.into_owned()),
        ("size".to_owned(), bytes.to_string()),
        ("priority".to_owned(), priority.into_owned()),
    ]);
    Some((swap_key(&name), FactValue::Attributes(attributes)))
}

/// What leads from one state of a mount point to another.
pub(super) fn op(before: &FactValue, after: &FactValue) -> Op {
    let hides = |value: &FactValue| value.attribute(HIDES)?.parse::<u32>().ok();
    match hides(before).cmp(&hides(after)) {
        std::cmp::Ordering::Less => Op::Mount,
        std::cmp::Ordering::Greater => Op::Unmount,
        std::cmp::Ordering::Equal => Op::Set,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &[u8] = include_bytes!("samples/mountinfo");
    const SWAPS: &[u8] = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/dm-1                               partition\t8388604\t\t1024\t\t-2
/srv/swap\\040file                       file\t\t1048572\t\t0\t\t10
";

    fn noise() -> Noise {
        Noise::new(&config::Mounts::default()).unwrap()
    }

    fn mounted(text: &[u8]) -> Mounted {
        of(&Mounts::parse(text).unwrap(), &noise())
    }

    fn key(text: &str) -> Text {
        text.into()
    }

    #[test]
    fn a_container_host_s_own_mounts_are_facts_and_its_containers_are_none() {
        let facts = mounted(SERVER).facts;
        let lines = facts.iter().map(|(key, value)| {
            let json = serde_json::to_string(value).unwrap();
            format!("{key} {json}")
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
        / {"options":"rw,relatime","source":"/dev/vda1","super_options":"rw,discard,errors=remount-ro","type":"ext4"}
        /boot/efi {"options":"rw,relatime","source":"/dev/vda15","super_options":"rw,fmask=0022,dmask=0022,codepage=437,iocharset=ascii,shortname=mixed,utf8,errors=remount-ro","type":"vfat"}
        /dev {"options":"rw,nosuid,relatime","source":"udev","super_options":"rw,mode=755,inode64","type":"devtmpfs"}
        /mnt/backup {"options":"rw,relatime","source":"nas:/backup","super_options":"rw,vers=4.2,rsize=1048576,wsize=1048576,namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys,clientaddr=10.0.0.5,local_lock=none,addr=10.0.0.9","type":"nfs4"}
        /opt/nginx/etc {"options":"ro,relatime","root":"/etc/nginx","source":"/dev/vda1","super_options":"rw,discard,errors=remount-ro","type":"ext4"}
        /proc {"options":"rw,nosuid,nodev,noexec,relatime","source":"proc","super_options":"rw","type":"proc"}
        /run {"options":"rw,nosuid,nodev,noexec,relatime","source":"tmpfs","super_options":"rw,mode=755,inode64","type":"tmpfs"}
        /srv/my data {"options":"rw,noatime","root":"/@data","source":"/dev/mapper/vg-data","super_options":"rw,compress=zstd:3,space_cache=v2,subvolid=256,subvol=/@data","type":"btrfs"}
        /sys {"options":"rw,nosuid,nodev,noexec,relatime","source":"sysfs","super_options":"rw","type":"sysfs"}
        /sys/fs/cgroup {"options":"rw,nosuid,nodev,noexec,relatime","source":"cgroup2","super_options":"rw,nsdelegate,memory_recursiveprot","type":"cgroup2"}
        /sys/kernel/security {"options":"rw,nosuid,nodev,noexec,relatime","source":"securityfs","super_options":"rw","type":"securityfs"}
        "#);
    }

    #[test]
    fn swap_space_is_known_by_its_device_or_file_and_not_by_how_full_it_is() {
        let facts = swap_facts(SWAPS);
        let keys: Vec<String> = facts.keys().map(Text::to_string).collect();
        assert_eq!(keys, ["swap:/dev/dm-1", "swap:/srv/swap file"]);
        let file = &facts[&key("swap:/srv/swap file")];
        assert_eq!(file.attribute("type"), Some("file"));
        assert_eq!(file.attribute("size"), Some("1073737728"));
        assert_eq!(file.attribute("priority"), Some("10"));
        assert!(swap_facts(b"").is_empty());
        assert!(swap_facts(b"Filename\n/dev/x partition\n\n").is_empty());
    }

    #[test]
    fn of_mounts_on_one_point_the_one_on_top_is_the_fact() {
        let one = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:2 / /srv rw - ext4 /dev/sdb1 rw\n";
        let two = [one.as_slice(), b"31 30 0:9 / /srv rw - tmpfs none rw\n"].concat();
        let [one, two] = [one.as_slice(), &two].map(|text| mounted(text).facts);
        let [before, after] = [&one, &two].map(|facts| &facts[&key("/srv")]);
        assert_eq!(after.attribute("type"), Some("tmpfs"));
        assert_eq!(after.attribute(HIDES), Some("1"));
        assert_eq!(op(before, after), Op::Mount);
        assert_eq!(op(after, before), Op::Unmount);
        assert_eq!(op(before, before), Op::Set);
    }

    #[test]
    fn what_was_done_is_about_no_other_mount() {
        let before = mounted(
            b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:2 / /old rw - ext4 /dev/sdb1 rw\n\
              31 30 0:9 / /old/sub rw - tmpfs none rw\n",
        );
        let now = mounted(
            b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:2 / /new rw - ext4 /dev/sdb1 rw\n\
              32 30 0:10 / /new/sub rw - tmpfs none rw\n",
        );
        let past = before.clone().left(&now);
        let differing = [("/new", true), ("/old", false), ("/old/sub", false)];
        let differing = differing.map(|(name, is_there)| (key(name), is_there));
        let about = |touched: MountTouched| {
            let differing = differing.iter().map(|(key, is_there)| (key, *is_there));
            now.about(&past, &touched, differing)
        };
        let at = |mount, within: &str, gone| {
            let within = within.into();
            about(MountTouched::Place {
                mount,
                within,
                gone,
            })
        };
        let keys = |keys: &[&str]| Some(keys.iter().map(|&name| key(name)).collect());
        assert_eq!(at(22, "/new", false), keys(&["/new", "/old"]));
        assert_eq!(at(30, "/sub", false), keys(&["/new/sub"]));
        assert_eq!(at(30, "/", true), keys(&["/old", "/old/sub"]));
        assert_eq!(at(99, "/", true), None);
        let dev = rustix::fs::makedev(8, 2);
        let file_system = about(MountTouched::FileSystem { dev });
        assert_eq!(file_system, keys(&["/new", "/old"]));
        let path = key("/swap");
        assert_eq!(about(MountTouched::Swap { path }), keys(&["swap:/swap"]));
    }

    #[test]
    fn secrets_of_options_are_hidden() {
        let facts = mounted(
            b"22 1 0:9 / /srv rw - cifs //server/share rw,username=u,password=verysecret,uid=0\n",
        );
        let options = facts.facts[&key("/srv")]
            .attribute("super_options")
            .unwrap()
            .to_owned();
        assert!(!options.contains("verysecret"), "{options}");
        assert!(options.contains("username=u"), "{options}");
    }
}
