//! IPv4 packets of TCP and UDP: who sends them to whom, read and rewritten in place.
//!
//! Checksums are updated for what changes (RFC 1624, equation 3) and not computed anew, so that a
//! packet that was damaged stays damaged.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Bytes of an IPv4 header without options.
const LEAST_HEADER: usize = 20;
/// Where its checksum and its addresses are.
const HEADER_CHECKSUM: usize = 10;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;
/// The flag "more fragments" and the fragment's offset.
const FRAGMENT: u16 = 0x3fff;

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// Bytes of its header, at least.
    fn header(self) -> usize {
        match self {
            Self::Tcp => 20,
            Self::Udp => 8,
        }
    }

    /// Where in its header the checksum is.
    fn checksum(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// A packet that the network carries.
///
/// Invariant: the IPv4 header and the least header of its transport are whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    bytes: Vec<u8>,
    transport: Transport,
    /// Where the transport's header begins.
    payload: usize,
}

impl Packet {
    /// A packet from its bytes; none for what is malformed, a fragment, or neither TCP nor UDP over
    /// IPv4.
    pub fn new(mut bytes: Vec<u8>) -> Option<Self> {
        let version_and_length = *bytes.first()?;
        let payload = usize::from(version_and_length & 15) * 4;
        if bytes.len() < LEAST_HEADER || version_and_length >> 4 != 4 || payload < LEAST_HEADER {
            return None;
        }
        let transport = match bytes[9] {
            6 => Transport::Tcp,
            17 => Transport::Udp,
            _ => return None,
        };
        let length = usize::from(word(&bytes, 2));
        let is_whole = word(&bytes, 6) & FRAGMENT == 0;
        if !is_whole || length > bytes.len() || length < payload + transport.header() {
            return None;
        }
        bytes.truncate(length);
        Some(Self {
            bytes,
            transport,
            payload,
        })
    }

    /// What it carries.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Who sends it.
    pub fn source(&self) -> SocketAddrV4 {
        self.end(SOURCE, self.payload)
    }

    /// Whom it is for.
    pub fn destination(&self) -> SocketAddrV4 {
        self.end(DESTINATION, self.payload + 2)
    }

    /// Another sender takes the place of the one in the packet.
    pub fn set_source(&mut self, source: SocketAddrV4) {
        self.set_end((SOURCE, self.payload), source);
    }

    /// It is for somebody else.
    pub fn set_destination(&mut self, destination: SocketAddrV4) {
        self.set_end((DESTINATION, self.payload + 2), destination);
    }

    /// Bytes of the packet, its headers included.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The packet's bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn end(&self, address: usize, port: usize) -> SocketAddrV4 {
        let [high, low] = [word(&self.bytes, address), word(&self.bytes, address + 2)];
        let address = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
        SocketAddrV4::new(address, word(&self.bytes, port))
    }

    fn set_end(&mut self, (address, port): (usize, usize), end: SocketAddrV4) {
        let bits = end.ip().to_bits();
        let words = [
            (address, (bits >> 16) as u16),
            (address + 2, bits as u16),
            (port, end.port()),
        ];
        let at = self.payload + self.transport.checksum();
        let before = word(&self.bytes, at);
        let (mut header, mut checksum) = (word(&self.bytes, HEADER_CHECKSUM), before);
        for (place, new) in words {
            let old = word(&self.bytes, place);
            checksum = updated(checksum, old, new);
            if place != port {
                header = updated(header, old, new);
            }
            set_word(&mut self.bytes, place, new);
        }
        set_word(&mut self.bytes, HEADER_CHECKSUM, header);
        // Over UDP, 0 says that there is no checksum, and a sum of 0 is written as its twin.
        match (self.transport, before, checksum) {
            (Transport::Udp, 0, _) => {}
            (Transport::Udp, _, 0) => set_word(&mut self.bytes, at, 0xffff),
            _ => set_word(&mut self.bytes, at, checksum),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn set_word(bytes: &mut [u8], at: usize, word: u16) {
    bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

/// A checksum after one word of what it covers has changed.
fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    !folded(sum)
}

/// A sum of words in ones' complement.
fn folded(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// Packets for tests.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    fn sum(bytes: &[u8]) -> u32 {
        let words = bytes.chunks(2).map(|pair| match pair {
            [high, low] => u32::from(*high) << 8 | u32::from(*low),
            [high] => u32::from(*high) << 8,
            _ => 0,
        });
        words.sum()
    }

    /// True if both checksums of a packet are those of its content.
    pub(crate) fn is_sound(packet: &Packet) -> bool {
        let (header, payload) = packet.bytes.split_at(packet.payload);
        let number = if packet.transport == Transport::Tcp {
            6
        } else {
            17
        };
        let pseudo = sum(&header[SOURCE..DESTINATION + 4]) + number + payload.len() as u32;
        folded(sum(header)) == 0xffff && folded(pseudo + sum(payload)) == 0xffff
    }

    /// A packet with right checksums.
    pub(crate) fn packet(transport: Transport, from: &str, to: &str, content: &[u8]) -> Packet {
        let [from, to]: [SocketAddrV4; 2] = [from, to].map(|end| end.parse().unwrap());
        let size = LEAST_HEADER + transport.header() + content.len();
        let mut bytes = vec![0; size - content.len()];
        bytes.extend_from_slice(content);
        bytes[0] = 0x45;
        set_word(&mut bytes, 2, size as u16);
        bytes[8] = 64;
        bytes[9] = if transport == Transport::Tcp { 6 } else { 17 };
        bytes[SOURCE..DESTINATION].copy_from_slice(&from.ip().octets());
        bytes[DESTINATION..LEAST_HEADER].copy_from_slice(&to.ip().octets());
        set_word(&mut bytes, LEAST_HEADER, from.port());
        set_word(&mut bytes, LEAST_HEADER + 2, to.port());
        if transport == Transport::Udp {
            let length = (size - LEAST_HEADER) as u16;
            set_word(&mut bytes, LEAST_HEADER + 4, length);
        }
        let header = !folded(sum(&bytes[..LEAST_HEADER]));
        set_word(&mut bytes, HEADER_CHECKSUM, header);
        let number = u32::from(bytes[9]);
        let payload = &bytes[LEAST_HEADER..];
        let pseudo = sum(&bytes[SOURCE..LEAST_HEADER]) + number + payload.len() as u32;
        let checksum = !folded(pseudo + sum(payload));
        set_word(&mut bytes, LEAST_HEADER + transport.checksum(), checksum);
        Packet::new(bytes).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::{is_sound, packet};
    use super::*;

    const ENDS: [&str; 2] = ["192.168.1.2:4001", "198.51.100.7:443"];

    #[test]
    fn ends_are_read() {
        let packet = packet(Transport::Tcp, ENDS[0], ENDS[1], b"hello");
        assert_eq!(packet.source(), ENDS[0].parse().unwrap());
        assert_eq!(packet.destination(), ENDS[1].parse().unwrap());
        assert_eq!(packet.size(), 45);
        assert!(is_sound(&packet));
    }

    #[test]
    fn a_datagram_without_a_checksum_keeps_none() {
        let mut bytes = packet(Transport::Udp, ENDS[0], ENDS[1], b"hello").into_bytes();
        set_word(&mut bytes, 26, 0);
        let mut packet = Packet::new(bytes).unwrap();
        packet.set_source("203.0.113.1:20000".parse().unwrap());
        assert_eq!(word(&packet.bytes, 26), 0);
    }

    #[test]
    fn what_is_malformed_is_no_packet() {
        let good = packet(Transport::Udp, ENDS[0], ENDS[1], b"hello").into_bytes();
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Packet::new(bytes)
        };
        assert_eq!(Packet::new(Vec::new()), None);
        assert_eq!(changed(0, 0x65), None, "version 6");
        assert_eq!(changed(0, 0x44), None, "a header that is too short");
        assert_eq!(changed(0, 0x4f), None, "a header longer than the packet");
        assert_eq!(changed(9, 1), None, "ICMP");
        assert_eq!(changed(3, 200), None, "longer than its bytes");
        assert_eq!(changed(3, 27), None, "shorter than its headers");
        assert_eq!(changed(6, 0x20), None, "a first fragment");
        assert_eq!(changed(7, 1), None, "a later fragment");
        let mut padded = good.clone();
        padded.extend([0; 9]);
        assert_eq!(Packet::new(padded).unwrap().into_bytes(), good);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(mut packet) = Packet::new(bytes) {
                packet.set_source(packet.destination());
                prop_assert_eq!(packet.source(), packet.destination());
            }
        }

        #[test]
        fn rewritten_packets_have_right_checksums(
            is_tcp in any::<bool>(),
            content in prop::collection::vec(any::<u8>(), 0..40),
            ends in prop::collection::vec((any::<u32>(), any::<u16>()), 2),
        ) {
            let transport = if is_tcp { Transport::Tcp } else { Transport::Udp };
            let mut packet = packet(transport, ENDS[0], ENDS[1], &content);
            let [source, destination] = [ends[0], ends[1]]
                .map(|(address, port)| SocketAddrV4::new(Ipv4Addr::from(address), port));
            packet.set_source(source);
            packet.set_destination(destination);
            prop_assert!(is_sound(&packet));
            prop_assert_eq!((packet.source(), packet.destination()), (source, destination));
        }
    }
}
