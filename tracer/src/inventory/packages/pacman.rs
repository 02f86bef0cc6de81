//! What pacman's folders of packages say besides by their names (libalpm's local database).

/// The file that lists the files of a package.
pub(super) const FILES: &str = "files";
/// What is there, beside the folder of packages, as long as pacman is at work.
pub(super) const LOCK: &str = "db.lck";

/// `name-with-hyphens-1.0-1`: version and release are the last two parts, as in pacman itself.
pub(super) fn name_and_version(folder: &str) -> Option<(String, String)> {
    let mut parts = folder.rsplitn(3, '-');
    let (release, version, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = [release, version, name].iter().all(|part| !part.is_empty());
    is_whole.then(|| (name.to_owned(), format!("{version}-{release}")))
}

/// The paths that a list of files has, folders among them.
pub(super) fn files(list: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let lines = list.split(|&byte| byte == b'\n');
    let lines = lines.skip_while(|line| *line != b"%FILES%").skip(1);
    let files = lines.take_while(|line| !line.is_empty());
    files.map(|line| [b"/", line.strip_suffix(b"/").unwrap_or(line)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_files_and_folders_and_says_more_besides() {
        let list = b"%FILES%\netc/\netc/demo.conf\nusr/\n\n%BACKUP%\netc/demo.conf\t1234\n";
        let files: Vec<_> = files(list)
            .map(|path| String::from_utf8(path).unwrap())
            .collect();
        assert_eq!(files, ["/etc", "/etc/demo.conf", "/usr"]);
        for none in [
            b"".as_slice(),
            b"etc/x\n",
            b"%FILES%",
            b"%FILES%\n\netc/x\n",
        ] {
            assert_eq!(super::files(none).count(), 0);
        }
    }
}
