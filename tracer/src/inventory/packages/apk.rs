//! The packages that apk knows, from its file `installed`: a paragraph for each, of lines with a
//! letter and a colon.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;

use super::lines::read_line;
use super::{ARCH, Facts, MOST_PACKAGES, Manager, VERSION, value};

/// The name of the file.
pub(super) const FILE: &str = "installed";

/// Lists of files are taken so far, in bytes.
const LONGEST_LIST: usize = 16 << 20;

/// Reads the file in the first folder that has it.
pub(super) fn read(folders: &[PathBuf]) -> io::Result<Facts> {
    for folder in folders {
        match File::open(folder.join(FILE)) {
            Ok(file) => return parse(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Facts::new())
}

/// Name, version and architecture.
type Package = [String; 3];

fn parse(installed: impl io::BufRead) -> io::Result<Facts> {
    let mut facts = Facts::new();
    let mut package = Package::default();
    each_line(installed, |line| {
        let field = match line.get(..2) {
            None => {
                let [name, version, arch] = std::mem::take(&mut package);
                if !name.is_empty() && !version.is_empty() && facts.len() < MOST_PACKAGES {
                    let value = value([(VERSION, version), (ARCH, arch)]);
                    facts.insert(Manager::Apk.key(&name), value);
                }
                return;
            }
            Some(b"P:") => &mut package[0],
            Some(b"V:") => &mut package[1],
            Some(b"A:") => &mut package[2],
            Some(_) => return,
        };
        String::from_utf8_lossy(&line[2..]).trim().clone_into(field);
    })?;
    Ok(facts)
}

/// Hands over the name of each package, and the paths of its files and folders.
pub(super) fn each_list(
    installed: impl io::BufRead,
    mut take: impl FnMut(&str, &[Vec<u8>]),
) -> io::Result<()> {
    let (mut name, mut folder) = (String::new(), Vec::new());
    let (mut paths, mut room) = (Vec::new(), LONGEST_LIST);
    each_line(installed, |line| {
        let path = match line.get(..2) {
            None => {
                if !name.is_empty() {
                    take(&name, &paths);
                }
                (name, folder) = (String::new(), Vec::new());
                paths.clear();
                room = LONGEST_LIST;
                return;
            }
            Some(b"P:") => return name = String::from_utf8_lossy(&line[2..]).into_owned(),
            Some(b"F:") => {
                folder = if line.len() > 2 {
                    [b"/", &line[2..]].concat()
                } else {
                    Vec::new()
                };
                folder.clone()
            }
            Some(b"R:") => [&folder, b"/".as_slice(), &line[2..]].concat(),
            Some(_) => return,
        };
        room = room.saturating_sub(path.len() + size_of::<Vec<u8>>());
        if room > 0 {
            paths.push(path);
        }
    })
}

/// Hands over each line, and an empty one behind each paragraph, also the last one. One that has less than two letters
/// is none.
fn each_line(mut installed: impl io::BufRead, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = read_line(&mut installed, &mut line)?;
        if line.len() != 1 {
            take(&line);
        }
        if read == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use change::Text;

    use super::*;

    const INSTALLED: &str = "\
C:Q1DiHqX3o3wjrt+XFFl5zWUhMy0hM=
P:alpine-baselayout
V:3.4.3-r2
A:x86_64
S:8911
I:331776
T:Alpine base dir structure and init scripts
D:alpine-baselayout-data=3.4.3-r2 /bin/sh
F:dev
F:dev/pts
R:hosts
a:0:0:644
Z:Q1BD6zJKZTRWyqGnPi4tSfd3krsMU=

C:Q1CVjNQKHDPhhzqHs7VKMkMkvwxqY=
P:musl
V:1.2.4_git20230717-r4
A:x86_64
r:libiconv
";

    #[test]
    fn each_paragraph_is_a_package() {
        let facts = parse(INSTALLED.as_bytes()).unwrap();
        let keys: Vec<String> = facts.keys().map(Text::to_string).collect();
        assert_eq!(keys, ["apk/alpine-baselayout", "apk/musl"]);
        let musl = &facts[&Text::from("apk/musl")];
        assert_eq!(musl.attribute(VERSION), Some("1.2.4_git20230717-r4"));
        assert_eq!(musl.attribute(ARCH), Some("x86_64"));
    }

    #[test]
    fn each_paragraph_has_a_list_of_files() {
        let mut lists = Vec::new();
        let take = |name: &str, paths: &[Vec<u8>]| {
            let paths = paths
                .iter()
                .map(|path| String::from_utf8_lossy(path).into_owned());
            lists.push((name.to_owned(), paths.collect::<Vec<_>>().join(" ")));
        };
        let installed = format!("{INSTALLED}F:\nR:root\n\nR:none\n\nP:x\nF:a");
        each_list(installed.as_bytes(), take).unwrap();
        let lists: Vec<_> = lists
            .iter()
            .map(|(name, paths)| [name, paths.trim()])
            .collect();
        assert_eq!(
            lists,
            [
                ["alpine-baselayout", "/dev /dev/pts /dev/pts/hosts"],
                ["musl", "/root"],
                ["x", "/a"],
            ]
        );
    }

    #[test]
    fn hostile_databases_are_read_as_far_as_they_make_sense() {
        let long = format!("P:{}\nV:1\n", "x".repeat(1 << 20));
        assert_eq!(parse(long.as_bytes()).unwrap().len(), 1);
        for text in ["", "\n\n\n", "P\nV", "P:\nV:1", "P:a\nV:\n", "P:a\n\nV:1\n"] {
            assert!(parse(text.as_bytes()).unwrap().is_empty(), "{text:?}");
        }
        let odd = b"P:\xff\nV:\xfe\n\nP:a\nV:1".as_slice();
        assert_eq!(parse(odd).unwrap().len(), 2);
        let many: Vec<String> = (0..2 * MOST_PACKAGES)
            .map(|n| format!("P:b{n}\nV:1\n"))
            .collect();
        let many = many.join("\n");
        assert_eq!(parse(many.as_bytes()).unwrap().len(), MOST_PACKAGES);
    }
}
