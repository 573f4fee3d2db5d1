//! Where a node has the addresses of peers from.

/// A source of addresses, those that are trusted least first. Each is advice: whoever answers
/// proves its identity, and a source that gives nothing, or nonsense, costs calls that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Other peers told them, or called this node.
    Peers,
    /// Multicast DNS, in the local network.
    Mdns,
    /// Announcements on a chain.
    Chain,
    /// Names that the operator or the swarm's file gave.
    Dns,
    /// The file of addresses that an earlier run had reached.
    Cache,
    /// The swarm's file.
    File,
    /// The operator: a flag, or a setting.
    Flag,
}

impl Source {
    /// Every source, the most trusted first.
    pub const ALL: [Self; 7] = [
        Self::Flag,
        Self::File,
        Self::Cache,
        Self::Dns,
        Self::Chain,
        Self::Mdns,
        Self::Peers,
    ];

    /// Its name in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peers => "peers",
            Self::Mdns => "mdns",
            Self::Chain => "chain",
            Self::Dns => "dns",
            Self::Cache => "cache",
            Self::File => "file",
            Self::Flag => "flag",
        }
    }

    /// True if its addresses are called for ever, whether peers are wanted or not.
    pub(crate) fn is_configured(self) -> bool {
        self >= Self::File
    }

    /// True if its addresses are not given up, though this run has never reached them: they were
    /// given by the operator, or reached by an earlier run. The others are given again by their
    /// source.
    pub(crate) fn is_kept(self) -> bool {
        self >= Self::Cache
    }
}

/// What a source that is in use has given so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceInfo {
    /// The source.
    pub source: Source,
    /// Peers, or addresses of peers whose names are not known, that it gave and that are still
    /// called or connected.
    pub known: usize,
    /// Those of them that this run has reached.
    pub reached: usize,
}

/// A set of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources(u8);

impl Sources {
    pub(crate) fn insert(&mut self, source: Source) {
        self.0 |= 1 << source as u8;
    }

    pub(crate) fn contains(self, source: Source) -> bool {
        self.0 & 1 << source as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set = Sources::default();
        for source in Source::ALL.into_iter().rev() {
            assert!(!set.contains(source));
            set.insert(source);
            assert!(set.contains(source));
        }
    }
}
