//! Sets of hosts, a bit each: what two sets share is counted word by word.

use super::HostKey;

/// Holds a set of hosts.
#[derive(Clone, Debug, Default)]
pub struct HostSet(Vec<u64>);

impl HostSet {
    /// Adds a host.
    pub fn insert(&mut self, HostKey(host): HostKey) {
        let word = host as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (host % 64);
    }

    /// Adds hosts.
    pub fn extend(&mut self, hosts: &[HostKey]) {
        for host in hosts {
            self.insert(*host);
        }
    }

    /// Adds hosts by their bits, from the word of this number on.
    pub(crate) fn insert_words(&mut self, first: usize, words: &[u64]) {
        let used = words.iter().rposition(|word| *word != 0);
        let words = &words[..used.map_or(0, |last| last + 1)];
        if self.0.len() < first + words.len() {
            self.0.resize(first + words.len(), 0);
        }
        for (mine, word) in self.0[first..].iter_mut().zip(words) {
            *mine |= word;
        }
    }

    /// Whether a host is in it.
    pub fn contains(&self, HostKey(host): HostKey) -> bool {
        let word = self.0.get(host as usize / 64);
        word.is_some_and(|word| word >> (host % 64) & 1 == 1)
    }

    /// How many hosts it has.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many hosts it has in common with another.
    pub fn shared(&self, other: &Self) -> u32 {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(a, b)| (a & b).count_ones()).sum()
    }

    /// Its hosts, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = HostKey> {
        let words = (0..).zip(&self.0);
        words.flat_map(|(index, &word): (u32, _)| {
            let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| HostKey(index * 64 + bit))
        })
    }

    /// The hosts that are in both.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    /// Takes all hosts out and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl FromIterator<HostKey> for HostSet {
    fn from_iter<I: IntoIterator<Item = HostKey>>(hosts: I) -> Self {
        let mut set = Self::default();
        hosts.into_iter().for_each(|host| set.insert(host));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_counts_what_two_share() {
        let set = |hosts: &[u32]| hosts.iter().copied().map(HostKey).collect::<HostSet>();
        let (few, more) = (set(&[0, 63, 64, 9_999]), set(&[1, 63, 64, 70_000]));
        let listed: Vec<u32> = few.iter().map(|HostKey(host)| host).collect();
        assert_eq!(listed, [0, 63, 64, 9_999]);
        assert_eq!((few.len(), more.len(), few.shared(&more)), (4, 4, 2));
        assert!(few.contains(HostKey(9_999)) && !few.contains(HostKey(70_000)));
        assert!(set(&[]).is_empty() && !few.is_empty());
    }
}
