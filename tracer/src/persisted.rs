//! What sysctls will be after a boot: the files of sysctl.d(5) and the kernel's command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use change::Text;
use globset::{GlobBuilder, GlobMatcher};

use crate::sysctl;

/// Where the files are; one of the same name in a folder that stands before hides the others.
const FOLDERS: [&str; 5] = [
    "etc/sysctl.d",
    "run/sysctl.d",
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
    "lib/sysctl.d",
];

/// Says what a boot sets a sysctl to, and where that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The value as it is written there.
    pub value: String,
    /// The file and the line, as `/etc/sysctl.d/50-x.conf:3`; or the kernel's command line.
    pub place: String,
}

/// What a boot sets.
#[derive(Debug, Default)]
pub struct Persisted {
    /// By key; none where a line leaves it out of what patterns set.
    named: BTreeMap<Text, Option<Assigned>>,
    /// In the order in which they are applied.
    patterns: Vec<(GlobMatcher, Assigned)>,
    /// What the kernel sets before there are files.
    by_kernel: BTreeMap<Text, Assigned>,
}

impl Persisted {
    /// Reads what is below that root now; what cannot be read sets nothing.
    pub fn read(root: &Path) -> Self {
        let mut persisted = Self::default();
        let line = fs::read_to_string(root.join("proc/cmdline")).unwrap_or_default();
        persisted.take_command_line(&line);
        for (path, shown) in files(root) {
            let text = fs::read(&path).unwrap_or_default();
            persisted.take_file(&String::from_utf8_lossy(&text), &shown);
        }
        persisted
    }

    /// What a boot sets a sysctl to; none where nothing does.
    pub fn of(&self, key: &Text) -> Option<&Assigned> {
        let by_kernel = self.by_kernel.get(key);
        match self.named.get(key) {
            Some(Some(assigned)) => Some(assigned),
            Some(None) => by_kernel,
            None => {
                let path = sysctl::path_of(key);
                let below = path.strip_prefix(sysctl::ROOT).unwrap_or(&path);
                let mut last_first = self.patterns.iter().rev();
                let found = last_first.find(|(pattern, _)| pattern.is_match(below));
                found.map(|(_, assigned)| assigned).or(by_kernel)
            }
        }
    }

    /// `sysctl.KEY=VALUE`, as the kernel reads it from 5.8 on.
    fn take_command_line(&mut self, line: &str) {
        for word in line.split_whitespace() {
            let Some((key, value)) = word
                .strip_prefix("sysctl.")
                .and_then(|rest| rest.split_once('='))
            else {
                continue;
            };
            let key = sysctl::key_of(key.replace('.', "/").as_bytes());
            let assigned = Assigned {
                value: value.to_owned(),
                place: "the kernel's command line".to_owned(),
            };
            self.by_kernel.insert(key, assigned);
        }
    }

    fn take_file(&mut self, text: &str, shown: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            self.take_line(line, format!("{shown}:{number}"));
        }
    }

    fn take_line(&mut self, line: &str, place: String) {
        let Some((name, value)) = line.split_once('=') else {
            // Without a value it leaves out; without `-` it is no line.
            if let Some(name) = line.strip_prefix('-') {
                let key = sysctl::key_of(path_of_name(name.trim()).as_bytes());
                self.named.insert(key, None);
            }
            return;
        };
        // `-` says that it does not matter if it fails.
        let name = name.trim();
        let path = path_of_name(name.strip_prefix('-').unwrap_or(name).trim());
        let assigned = Assigned {
            value: value.trim().to_owned(),
            place,
        };
        if !path.contains(['*', '?', '[']) {
            self.named
                .insert(sysctl::key_of(path.as_bytes()), Some(assigned));
            return;
        }
        let pattern = GlobBuilder::new(&path).literal_separator(true).build();
        match pattern {
            Ok(pattern) => self.patterns.push((pattern.compile_matcher(), assigned)),
            Err(error) => tracing::debug!("read the pattern of {}: {error}", assigned.place),
        }
    }
}

/// The path below `/proc/sys` of a name in a file: whichever of `.` and `/` comes first stands between
/// the names, and where that is the dot, a slash is a dot in a name.
fn path_of_name(name: &str) -> String {
    let name = name.trim_start_matches('/');
    match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('.') => {
            let swap = |letter| match letter {
                '.' => '/',
                '/' => '.',
                letter => letter,
            };
            name.chars().map(swap).collect()
        }
        _ => name.to_owned(),
    }
}

/// The files that are applied, in that order, each with the path that it is known by.
fn files(root: &Path) -> Vec<(PathBuf, String)> {
    let mut by_name = BTreeMap::new();
    for folder in FOLDERS {
        let entries = fs::read_dir(root.join(folder)).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !name.as_encoded_bytes().ends_with(b".conf") {
                continue;
            }
            let shown = format!("/{folder}/{}", name.display());
            by_name.entry(name).or_insert((entry.path(), shown));
        }
    }
    let mut files: Vec<_> = by_name.into_values().collect();
    // procps reads it after all others, systemd only where a link in a folder leads to it.
    let old = root.join("etc/sysctl.conf");
    let is_linked = |(path, _): &(PathBuf, String)| {
        fs::canonicalize(path).is_ok_and(|path| fs::canonicalize(&old).is_ok_and(|old| path == old))
    };
    if !root.join("run/systemd/system").exists() && !files.iter().any(is_linked) {
        files.push((old, "/etc/sysctl.conf".to_owned()));
    }
    files
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn of(persisted: &Persisted, key: &str) -> Option<String> {
        let assigned = persisted.of(&key.into())?;
        Some(format!("{} from {}", assigned.value, assigned.place))
    }

    #[test]
    fn the_last_file_by_name_wins_and_one_of_the_administrator_hides_the_vendors() {
        let root = written(&[
            ("etc/sysctl.d/50-a.conf", "# why\nvm.swappiness = 10\n"),
            (
                "usr/lib/sysctl.d/50-a.conf",
                "vm.swappiness=60\nkernel.panic=1\n",
            ),
            (
                "usr/lib/sysctl.d/60-b.conf",
                "; x\nvm/swappiness=20\nfs.file-max = 5\n",
            ),
            ("run/sysctl.d/70-c.conf", "-fs.file-max = 7\n"),
            ("usr/lib/sysctl.d/80-d.conf", "kernel.sysrq=1\n"),
            ("usr/lib/sysctl.d/README", "kernel.sysrq=2\n"),
        ]);
        symlink("/dev/null", root.path().join("etc/sysctl.d/80-d.conf")).unwrap();
        let persisted = Persisted::read(root.path());
        let of = |key| of(&persisted, key);
        assert_eq!(
            of("vm.swappiness").unwrap(),
            "20 from /usr/lib/sysctl.d/60-b.conf:2"
        );
        assert_eq!(
            of("fs.file-max").unwrap(),
            "7 from /run/sysctl.d/70-c.conf:1"
        );
        assert_eq!(of("kernel.panic"), None);
        assert_eq!(of("kernel.sysrq"), None);
    }

    #[test]
    fn patterns_set_what_no_line_names_or_leaves_out() {
        let root = written(&[(
            "etc/sysctl.d/10.conf",
            "net.ipv4.conf.*.rp_filter = 2\nnet.ipv4.conf.all.rp_filter = 1\n\
             -net.ipv4.conf.wan0.rp_filter\nnet.ipv4.conf.eth*.rp_filter = 0\n\
             net/ipv4/conf/eth0.100/rp_filter = 3\n",
        )]);
        let persisted = Persisted::read(root.path());
        let of = |key: &str| of(&persisted, key);
        let file = "from /etc/sysctl.d/10.conf";
        let rp_filter = |name: &str| of(&format!("net.ipv4.conf.{name}.rp_filter"));
        assert_eq!(rp_filter("lan0"), Some(format!("2 {file}:1")));
        assert_eq!(rp_filter("all"), Some(format!("1 {file}:2")));
        assert_eq!(rp_filter("wan0"), None);
        assert_eq!(rp_filter("eth1"), Some(format!("0 {file}:4")));
        assert_eq!(rp_filter("eth0/100"), Some(format!("3 {file}:5")));
        assert_eq!(of("net.ipv4.conf.lan0.x.rp_filter"), None);
    }

    #[test]
    fn the_command_line_is_before_the_files_and_the_old_file_after_them() {
        let root = written(&[
            (
                "proc/cmdline",
                "quiet sysctl.vm.swappiness=5 sysctl.kernel.panic=9\n",
            ),
            ("etc/sysctl.d/10.conf", "vm.swappiness=10\n"),
            ("etc/sysctl.conf", "vm.swappiness=30\n"),
        ]);
        let read = || Persisted::read(root.path());
        let panic = of(&read(), "kernel.panic").unwrap();
        assert_eq!(panic, "9 from the kernel's command line");
        let old = of(&read(), "vm.swappiness").unwrap();
        assert_eq!(old, "30 from /etc/sysctl.conf:1");
        fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
        let by_systemd = of(&read(), "vm.swappiness").unwrap();
        assert_eq!(by_systemd, "10 from /etc/sysctl.d/10.conf:1");
    }
}
