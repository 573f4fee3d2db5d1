//! Receipts: which messages a member had in time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use swarm_identity::digest::Digest32;
use swarm_identity::key::{PEER_BYTES, PeerId};

use crate::codec::bounded_list;
use crate::membership::MemberIndex;
use crate::membership::hello::{Hello, MAX_HELLOS};

/// Most bytes of a bitmap: what an envelope carries beside everything else.
pub const MAX_BITMAP: usize = 60_000;
/// Receipts of one member that are kept unasked: an honest one signs one, two are a contradiction.
pub const RECEIPTS_PER_MEMBER: usize = 2;

/// The first bytes of a receipt's digest. Two receipts of one name would be one member's own work,
/// and help nobody: what was decided is known by a whole digest.
pub type ReceiptName = [u8; 12];

/// Bytes of a hello in a receipt: who said it, and its topics.
const HELLO_BYTES: usize = PEER_BYTES + 8;
/// Most bytes of a receipt.
const MAX_BYTES: usize = MAX_BITMAP + MAX_HELLOS * HELLO_BYTES;

/// One bit per place of the round: set where the member had a valid, uncontradicted message before
/// the place's window was over. In an open swarm the hellos follow that it holds, ascending:
///
/// ```text
/// bitmap, a bit per place, in whole bytes │ peer 33 bytes │ topics u64, little-endian │ …
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    #[serde(deserialize_with = "bounded_list::<_, _, MAX_BYTES>")]
    bits: Vec<u8>,
}

impl Receipt {
    /// A receipt over `places` places with these set.
    ///
    /// # Panics
    /// If a position is no place.
    pub fn new(places: usize, held: impl Iterator<Item = usize>) -> Self {
        let mut bits = vec![0; places.div_ceil(8)];
        held.for_each(|position| bits[position / 8] |= 1 << (position % 8));
        Self { bits }
    }

    /// The same with hellos.
    #[must_use]
    pub fn with_hellos(mut self, hellos: &BTreeMap<PeerId, Hello>) -> Self {
        for (peer, hello) in hellos {
            self.bits.extend(peer.0);
            self.bits.extend(hello.topics.to_le_bytes());
        }
        self
    }

    /// The same without its last hellos.
    #[must_use]
    pub fn without_hellos(mut self, last: usize) -> Self {
        let left = self.bits.len().saturating_sub(last * HELLO_BYTES);
        self.bits.truncate(left);
        self
    }

    /// The hellos in a receipt over `places` places; `None` if what follows the bitmap is none.
    pub fn hellos(&self, places: usize) -> Option<BTreeMap<PeerId, u64>> {
        let mut entries = self
            .bits
            .get(places.div_ceil(8)..)?
            .chunks_exact(HELLO_BYTES);
        let mut hellos = BTreeMap::new();
        for entry in entries.by_ref().take(MAX_HELLOS + 1) {
            let (peer, topics) = entry.split_first_chunk::<PEER_BYTES>()?;
            let topics = u64::from_le_bytes(topics.try_into().ok()?);
            let is_next = hellos
                .last_key_value()
                .is_none_or(|(last, _)| *last < PeerId(*peer));
            if !is_next {
                return None;
            }
            hellos.insert(PeerId(*peer), topics);
        }
        (entries.remainder().is_empty() && hellos.len() <= MAX_HELLOS).then_some(hellos)
    }

    /// Its bytes.
    pub fn bytes(&self) -> usize {
        self.bits.len()
    }

    /// True if the bitmap has a bit for each of `places` places, none set beyond, and no hellos
    /// follow or, in an open swarm, well-formed ones.
    pub fn fits(&self, places: usize, is_open: bool) -> bool {
        let hellos = self.hellos(places).map(|hellos| hellos.len());
        let is_whole = hellos.is_some_and(|hellos| hellos == 0 || is_open);
        is_whole && self.held(places).all(|position| position < places)
    }

    /// True if the member had the message of this position.
    pub fn has(&self, position: usize) -> bool {
        let byte = self.bits.get(position / 8);
        byte.is_some_and(|byte| byte >> (position % 8) & 1 == 1)
    }

    /// The positions that are set in a receipt over `places` places, ascending.
    pub fn held(&self, places: usize) -> impl Iterator<Item = usize> + '_ {
        let bits = self.bits.iter().take(places.div_ceil(8)).enumerate();
        bits.flat_map(|(index, byte)| {
            let set = (0..8).filter(move |bit| byte >> bit & 1 == 1);
            set.map(move |bit| index * 8 + bit)
        })
    }
}

/// A receipt that its member signed.
#[derive(Clone, Debug)]
pub struct SignedReceipt {
    /// Its name.
    pub name: ReceiptName,
    /// What it says.
    pub receipt: Receipt,
    /// The envelope, for others.
    pub bytes: Arc<[u8]>,
}

/// The name of a receipt whose envelope has this digest.
pub fn name(digest: &Digest32) -> ReceiptName {
    let mut name = [0; 12];
    name.copy_from_slice(&digest[..12]);
    name
}

/// The receipts of a round, by member in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub struct Receipts(BTreeMap<MemberIndex, Vec<SignedReceipt>>);

impl Receipts {
    /// Keeps a receipt that is not known yet.
    pub fn keep(&mut self, member: MemberIndex, receipt: SignedReceipt) {
        self.0.entry(member).or_default().push(receipt);
    }

    /// True if no further receipt of the member is kept unasked.
    pub fn is_full(&self, member: MemberIndex) -> bool {
        let known = self.0.get(&member);
        known.is_some_and(|known| known.len() >= RECEIPTS_PER_MEMBER)
    }

    /// A member's receipt of this name.
    pub fn get(&self, member: MemberIndex, name: &ReceiptName) -> Option<&SignedReceipt> {
        let known = self.0.get(&member)?;
        known.iter().find(|receipt| receipt.name == *name)
    }

    /// What they hold, in entries.
    pub(crate) fn entries(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The first receipt of each member.
    pub fn first(&self) -> impl Iterator<Item = (MemberIndex, &SignedReceipt)> {
        let lists = self.0.iter();
        lists.filter_map(|(member, list)| Some((*member, list.first()?)))
    }

    /// A member's first receipt.
    pub fn first_of(&self, member: MemberIndex) -> Option<&SignedReceipt> {
        self.0.get(&member)?.first()
    }

    /// The members with a receipt.
    pub fn members(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        self.first().map(|(member, _)| member)
    }

    /// True if the member has a receipt.
    pub fn contains(&self, member: MemberIndex) -> bool {
        self.0.contains_key(&member)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_receipt_holds_what_was_put_in(places in 1usize..200, seed: u64) {
            let held: Vec<_> = (0..places).filter(|i| seed >> (i % 64) & 1 == 1).collect();
            let receipt = Receipt::new(places, held.iter().copied());
            prop_assert!(receipt.fits(places, false));
            prop_assert_eq!(receipt.held(places).collect::<Vec<_>>(), held.clone());
            prop_assert!((0..places).all(|i| receipt.has(i) == held.contains(&i)));
            prop_assert!(!receipt.fits(places + 8, false));
        }

        #[test]
        fn hellos_follow_the_bitmap(places in 1usize..200, count in 1u8..40, cut in 1usize..41) {
            let hello = |number: u8| (PeerId([number; 33]), Hello { topics: 7 * u64::from(number) });
            let hellos: BTreeMap<_, _> = (0..count).map(hello).collect();
            let receipt = Receipt::new(places, [0].into_iter()).with_hellos(&hellos);
            let topics = hellos.iter().map(|(peer, hello)| (*peer, hello.topics)).collect();
            let is_full = usize::from(count) > MAX_HELLOS;
            prop_assert_eq!(receipt.hellos(places), (!is_full).then_some(topics));
            prop_assert_eq!(receipt.fits(places, true), !is_full);
            prop_assert!(!receipt.fits(places, false));
            prop_assert_eq!(receipt.held(places).collect::<Vec<_>>(), [0]);
            let mut part = receipt.clone();
            part.bits.truncate(receipt.bits.len() - cut.min(HELLO_BYTES - 1));
            prop_assert!(!part.fits(places, true));
            let bare = Receipt::new(places, [0].into_iter());
            prop_assert_eq!(receipt.without_hellos(count.into()), bare);
        }
    }

    #[test]
    fn bits_beyond_the_places_do_not_fit() {
        let receipt = Receipt::new(16, [9].into_iter());
        let fits = |places| receipt.fits(places, false);
        assert!(fits(16) && fits(10));
        assert!(!fits(9) && !fits(8) && !fits(17));
        assert!(!receipt.has(500));
    }

    #[test]
    fn a_member_has_room_for_two() {
        let mut receipts = Receipts::default();
        let receipt = |tag: u8| SignedReceipt {
            name: [tag; 12],
            receipt: Receipt::new(8, std::iter::empty()),
            bytes: vec![tag].into(),
        };
        receipts.keep(7, receipt(1));
        assert!(!receipts.is_full(7));
        receipts.keep(7, receipt(2));
        assert!(receipts.is_full(7) && !receipts.is_full(8));
        assert!(receipts.get(7, &[2; 12]).is_some() && receipts.get(7, &[3; 12]).is_none());
        assert_eq!(receipts.first_of(7).map(|first| first.name), Some([1; 12]));
        assert_eq!(receipts.members().collect::<Vec<_>>(), [7]);
    }
}
