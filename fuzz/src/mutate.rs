//! Mutations of valid inputs: what bit rot, truncation and malice make of them.

use reproducible_ops::random::Stream;

/// Numbers at which lengths, counts and offsets tend to go wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Longest input that is tried, in bytes.
pub const MAX_INPUT: usize = 1 << 16;

/// One of the seeds, changed in one to eight places.
pub fn mutated(seeds: &[Vec<u8>], random: &mut Stream) -> Vec<u8> {
    let mut bytes = seeds[random.index(seeds.len())].clone();
    for _ in 0..=random.index(8) {
        change(&mut bytes, seeds, random);
    }
    bytes.truncate(MAX_INPUT);
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Stream) {
    if bytes.is_empty() {
        bytes.push(random.next_u32() as u8);
        return;
    }
    let at = random.index(bytes.len());
    match random.index(7) {
        0 => bytes[at] ^= 1 << random.index(8),
        1 => bytes[at] = random.next_u32() as u8,
        2 => overwrite_with_edge(bytes, at, random),
        3 => bytes.truncate(at),
        4 => {
            let end = at + random.index((bytes.len() - at).min(64));
            bytes.drain(at..end);
        }
        5 => {
            let end = at + random.index((bytes.len() - at).min(64));
            let repeated = bytes[at..end].to_vec();
            bytes.splice(at..at, repeated);
        }
        _ => {
            let other = &seeds[random.index(seeds.len())];
            let from = random.index(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

/// Little-endian or big-endian, in one to eight bytes.
fn overwrite_with_edge(bytes: &mut [u8], at: usize, random: &mut Stream) {
    let value = EDGES[random.index(EDGES.len())];
    let width = (1 << random.index(4)).min(bytes.len() - at);
    let written = match random.index(2) {
        0 => value.to_le_bytes(),
        _ => (value << (64 - 8 * width)).to_be_bytes(),
    };
    bytes[at..at + width].copy_from_slice(&written[..width]);
}
