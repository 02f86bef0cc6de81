//! The header of a package as rpm keeps it: two counts, an index of tags, and the data that it
//! points into, all numbers in network order (rpm's documentation of its file format).

/// So many tags a header has at most (`HEADER_TAGS_MAX` of rpm).
const MOST_TAGS: usize = 0xffff;
/// One entry of the index: tag, type, offset and count.
const ENTRY: usize = 16;
/// So many folders of a package are known, the first ones.
const MOST_FOLDERS: usize = 65_536;
/// Longer texts are none of what is asked for.
const LONGEST_TEXT: usize = 1024;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const ARCH: u32 = 1022;
/// For each file the number of its folder, and its name; and the folders.
const FOLDER_NUMBERS: u32 = 1116;
const FILE_NAMES: u32 = 1117;
const FOLDERS: u32 = 1118;

const INT32: u32 = 4;
const STRING: u32 = 6;
const STRINGS: u32 = 8;

/// What is of interest in a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    /// `epoch:version-release`, without an epoch of 0.
    pub(super) version: String,
    pub(super) arch: String,
}

/// More of the header is needed than the bytes that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut;

/// Reads the package that a header describes, of which the bytes are the beginning; none where they
/// make no sense.
pub(super) fn package(bytes: &[u8]) -> Result<Option<Package>, Cut> {
    let Some(header) = Header::within(bytes)? else {
        return Ok(None);
    };
    let name = header.text(NAME)?.unwrap_or_default();
    let version = header.text(VERSION)?.unwrap_or_default();
    if name.is_empty() || version.is_empty() {
        return Ok(None);
    }
    let release = header.text(RELEASE)?.unwrap_or_default();
    let epoch = header.number(EPOCH)?.unwrap_or_default();
    let epoch = if epoch == 0 {
        String::new()
    } else {
        format!("{epoch}:")
    };
    let hyphen = if release.is_empty() { "" } else { "-" };
    Ok(Some(Package {
        name,
        version: format!("{epoch}{version}{hyphen}{release}"),
        arch: header.text(ARCH)?.unwrap_or_default(),
    }))
}

/// The paths of a package's files; none by a header that is cut off.
pub(super) fn files(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let header = Header::within(bytes).ok().flatten();
    let header = header.filter(|header| header.data.len() >= header.length);
    let header = header.unwrap_or_default();
    let folders: Vec<&[u8]> = header.texts(FOLDERS).take(MOST_FOLDERS).collect();
    let files = header.texts(FILE_NAMES).zip(header.numbers(FOLDER_NUMBERS));
    files.filter_map(move |(name, folder)| Some([*folders.get(size(folder))?, name].concat()))
}

#[derive(Default)]
struct Header<'a> {
    index: &'a [u8],
    /// As much of the data as is there.
    data: &'a [u8],
    /// How much of it there is in the whole header.
    length: usize,
}

impl<'a> Header<'a> {
    fn within(bytes: &'a [u8]) -> Result<Option<Self>, Cut> {
        let (tags, length) = match (word(bytes, 0), word(bytes, 4)) {
            (Some(tags), Some(length)) => (size(tags), size(length)),
            _ => return Ok(None),
        };
        if tags == 0 || tags > MOST_TAGS {
            return Ok(None);
        }
        let end = 8 + tags * ENTRY;
        let index = bytes.get(8..end).ok_or(Cut)?;
        Ok(Some(Self {
            index,
            data: &bytes[end..],
            length,
        }))
    }

    /// Where the data of a tag begins that is of this type, and how many of these there are.
    fn entry(&self, tag: u32, of_type: u32) -> Option<(usize, usize)> {
        let mut entries = self.index.chunks_exact(ENTRY);
        let is_it = |entry: &&[u8]| {
            let count = word(entry, 12).is_some_and(|count| count > 0);
            word(entry, 0) == Some(tag) && word(entry, 4) == Some(of_type) && count
        };
        let found = entries.find(is_it)?;
        let (offset, count) = (size(word(found, 8)?), size(word(found, 12)?));
        (offset < self.length).then_some((offset, count))
    }

    fn text(&self, tag: u32) -> Result<Option<String>, Cut> {
        let Some((offset, _)) = self.entry(tag, STRING) else {
            return Ok(None);
        };
        let text = self.data.get(offset..).ok_or(Cut)?;
        let is_all = offset + LONGEST_TEXT <= self.data.len() || self.data.len() >= self.length;
        let text = text.get(..LONGEST_TEXT).unwrap_or(text);
        match text.iter().position(|&byte| byte == 0) {
            Some(end) => Ok(Some(String::from_utf8_lossy(&text[..end]).into_owned())),
            None if is_all => Ok(None),
            None => Err(Cut),
        }
    }

    fn number(&self, tag: u32) -> Result<Option<u32>, Cut> {
        let Some((offset, _)) = self.entry(tag, INT32) else {
            return Ok(None);
        };
        match word(self.data, offset) {
            Some(number) => Ok(Some(number)),
            None if self.data.len() >= self.length => Ok(None),
            None => Err(Cut),
        }
    }

    /// The texts of a tag, of a header that is there as a whole.
    fn texts(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (offset, count) = self.entry(tag, STRINGS).unwrap_or_default();
        let data = self.data.get(offset..).unwrap_or_default();
        data.split(|&byte| byte == 0).take(count)
    }

    /// Its numbers, likewise.
    fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> + use<'a> {
        let (offset, count) = self.entry(tag, INT32).unwrap_or_default();
        let (words, _) = self.data.get(offset..).unwrap_or_default().as_chunks();
        let numbers = words.iter().map(|word| u32::from_be_bytes(*word));
        numbers.take(count)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*word))
}

fn size(word: u32) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}

/// Reads any bytes as a header, whole and cut.
pub(crate) fn fuzz(bytes: &[u8]) {
    let half = &bytes[..bytes.len() / 2];
    for bytes in [bytes, half] {
        if let Ok(Some(package)) = package(bytes) {
            assert!(!package.name.is_empty() && package.name.len() <= 3 * LONGEST_TEXT);
        }
        assert!(files(bytes).count() <= bytes.len());
    }
}

#[cfg(test)]
pub(in super::super) mod tests {
    use super::*;

    /// A header in the making, as rpm writes it.
    #[derive(Default)]
    struct Writing {
        index: Vec<u8>,
        data: Vec<u8>,
    }

    impl Writing {
        fn enter(&mut self, (tag, kind): (u32, u32), values: &[&[u8]]) {
            if kind == INT32 {
                self.data.resize(self.data.len().next_multiple_of(4), 0);
            }
            let (offset, count) = (self.data.len(), values.len());
            let [offset, count] = [offset, count].map(|number| u32::try_from(number).unwrap());
            for word in [tag, kind, offset, count] {
                self.index.extend_from_slice(&word.to_be_bytes());
            }
            self.data.extend(values.concat());
        }

        fn enter_texts(&mut self, (tag, kind): (u32, u32), texts: &[&str]) {
            let texts: Vec<_> = texts.iter().map(|text| format!("{text}\0")).collect();
            let texts: Vec<_> = texts.iter().map(String::as_bytes).collect();
            self.enter((tag, kind), &texts);
        }

        fn enter_numbers(&mut self, tag: u32, numbers: &[u32]) {
            let numbers: Vec<_> = numbers.iter().map(|number| number.to_be_bytes()).collect();
            let numbers: Vec<_> = numbers.iter().map(<[u8; 4]>::as_slice).collect();
            self.enter((tag, INT32), &numbers);
        }

        fn done(self) -> Vec<u8> {
            let counts = [self.index.len() / ENTRY, self.data.len()];
            let counts = counts.map(|count| u32::try_from(count).unwrap().to_be_bytes());
            [counts.concat(), self.index, self.data].concat()
        }
    }

    /// A header with these texts and numbers, and `padding` bytes of other data before them.
    pub(in super::super) fn header(
        texts: &[(u32, &str)],
        numbers: &[(u32, u32)],
        padding: usize,
    ) -> Vec<u8> {
        let mut writing = Writing {
            data: vec![1; padding],
            ..Writing::default()
        };
        for (tag, text) in texts {
            writing.enter_texts((*tag, STRING), &[text]);
        }
        for (tag, number) in numbers {
            writing.enter_numbers(*tag, &[*number]);
        }
        writing.done()
    }

    /// The header of a package with files, each in the folder of that number.
    pub(in super::super::super) fn with_files(
        name: &str,
        folders: &[&str],
        files: &[(u32, &str)],
    ) -> Vec<u8> {
        let mut writing = Writing::default();
        writing.enter_texts((NAME, STRING), &[name]);
        writing.enter_texts((VERSION, STRING), &["1"]);
        let (numbers, names): (Vec<_>, Vec<_>) = files.iter().copied().unzip();
        writing.enter_texts((FILE_NAMES, STRINGS), &names);
        writing.enter_numbers(FOLDER_NUMBERS, &numbers);
        writing.enter_texts((FOLDERS, STRINGS), folders);
        writing.done()
    }

    /// The header of one version of a package.
    pub(in super::super) fn of(name: &str, version: &str, arch: &str, padding: usize) -> Vec<u8> {
        let texts = [
            (NAME, name),
            (VERSION, version),
            (RELEASE, "1"),
            (ARCH, arch),
        ];
        header(&texts, &[], padding)
    }

    #[test]
    fn a_header_has_name_version_and_architecture() {
        let texts = [
            (NAME, "bash"),
            (VERSION, "5.2"),
            (RELEASE, "1.fc39"),
            (ARCH, "x86_64"),
        ];
        let expected = Package {
            name: "bash".to_owned(),
            version: "5.2-1.fc39".to_owned(),
            arch: "x86_64".to_owned(),
        };
        assert_eq!(package(&header(&texts, &[], 0)), Ok(Some(expected)));
        let found = package(&header(&texts, &[(EPOCH, 2)], 0)).unwrap().unwrap();
        assert_eq!(found.version, "2:5.2-1.fc39");
        let found = package(&header(&texts[..2], &[(EPOCH, 0)], 0))
            .unwrap()
            .unwrap();
        assert_eq!((found.version.as_str(), found.arch.as_str()), ("5.2", ""));
    }

    #[test]
    fn a_file_is_its_name_in_the_folder_of_its_number() {
        let folders = ["/etc/", "/usr/bin/"];
        let listed = [(1, "bash"), (0, "profile"), (2, "nowhere"), (1, "sh")];
        let whole = with_files("bash", &folders, &listed);
        let files = |bytes: &[u8]| -> Vec<String> {
            let files = files(bytes).map(|path| String::from_utf8_lossy(&path).into_owned());
            files.collect()
        };
        let expected = ["/usr/bin/bash", "/etc/profile", "/usr/bin/sh"];
        assert_eq!(files(&whole), expected);
        assert!(package(&whole).unwrap().is_some());
        assert_eq!(files(&header(&[(NAME, "bash")], &[], 0)), [""; 0]);
        for end in 0..whole.len() {
            assert!(files(&whole[..end]).is_empty(), "it is cut off at {end}");
        }
    }

    #[test]
    fn of_a_beginning_it_is_known_whether_it_is_enough() {
        let whole = of("bash", "5.2", "x86_64", 10_000);
        let is_enough = |end: usize| package(&whole[..end]) != Err(Cut);
        assert!(!is_enough(8) && !is_enough(100) && !is_enough(8192));
        assert!(!is_enough(whole.len() - 1), "the last text has no end");
        assert!(is_enough(whole.len()));
        let begins = of("bash", "5.2", "x86_64", 0);
        let longer = [begins, vec![0; 100]].concat();
        assert!(package(&longer).unwrap().is_some());
    }

    #[test]
    fn what_makes_no_sense_is_no_package() {
        let texts = [(NAME, "bash"), (VERSION, "5.2")];
        let good = header(&texts, &[], 0);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        // No tags, far too many, a name of another type, one without a count, one behind the end.
        for bytes in [
            with(3, 0),
            with(0, 0xff),
            with(8 + 7, 7),
            with(8 + 15, 0),
            with(8 + 8, 0xff),
            Vec::new(),
            vec![0; 7],
            vec![0xff; 4096],
        ] {
            assert_eq!(package(&bytes), Ok(None), "{bytes:?}");
        }
        let endless = header(&[(NAME, &"x".repeat(LONGEST_TEXT)), texts[1]], &[], 0);
        assert_eq!(package(&endless), Ok(None));
        let odd = String::from_utf8_lossy(b"\xff").into_owned();
        let mut bytes = header(&[(NAME, "?"), texts[1]], &[], 0);
        let at = bytes.iter().position(|&byte| byte == b'?').unwrap();
        bytes[at] = 0xff;
        assert_eq!(package(&bytes).unwrap().unwrap().name, odd);
    }
}
