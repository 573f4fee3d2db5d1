//! What is signed: EIP-712 digests, and the names that a node key has on a chain and on the
//! network.
//!
//! A signature counts on one chain, for one contract. One secp256k1 key is a public key of 33
//! bytes, an EVM address (the last 20 bytes of keccak(x ‖ y)) and a libp2p peer id (the public key
//! itself in a short wrapping).

use alloy::primitives::{Address, B256, Signature, U256, keccak256};
use alloy::sol;
use alloy::sol_types::{Eip712Domain, SolStruct, eip712_domain};
use k256::elliptic_curve::sec1::ToEncodedPoint;

/// A compressed public key (SEC1).
pub type CompressedKey = [u8; 33];
/// Bytes of a libp2p peer id of a secp256k1 key.
pub const PEER_ID_BYTES: usize = 39;

sol! {
    /// Consent of an owner and a node to belong together.
    struct Binding {
        address owner;
        address node;
        uint256 nonce;
        uint256 expiry;
    }

    /// Leave to move tokens, by signature (ERC-2612).
    struct Permit {
        address owner;
        address spender;
        uint256 value;
        uint256 nonce;
        uint256 deadline;
    }
}

/// Where a signature counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Id of the chain.
    pub chain_id: u64,
    /// The contract that verifies it.
    pub contract: Address,
}

impl Domain {
    /// What keeps signatures of one contract from counting at another.
    pub(crate) fn separator(&self) -> Eip712Domain {
        eip712_domain! {
            name: "swarm-node",
            version: "2",
            chain_id: self.chain_id,
            verifying_contract: self.contract,
        }
    }

    /// What owner and node sign to belong together; `nonce` is the owner's next one, `expiry` in
    /// seconds.
    pub fn binding(&self, owner: Address, node: Address, nonce: U256, expiry: U256) -> B256 {
        Binding {
            owner,
            node,
            nonce,
            expiry,
        }
        .eip712_signing_hash(&self.separator())
    }
}

/// What an owner signs to let `spender` move `value` units of a token without a transaction of the
/// owner's (ERC-2612); the token tells its domain's `separator` and the owner's `nonce`.
pub fn permit(
    separator: B256,
    owner: Address,
    spender: Address,
    value: U256,
    nonce: U256,
    deadline: U256,
) -> B256 {
    let leave = Permit {
        owner,
        spender,
        value,
        nonce,
        deadline,
    };
    let hash = leave.eip712_hash_struct();
    keccak256([&[0x19, 0x01], separator.as_slice(), hash.as_slice()].concat())
}

/// The two coordinates x ‖ y of a compressed key; `None` if it is no point of the curve, or not in
/// the one form that has a parity: SEC1's compact form (tag 5) would be a second name of the same
/// key.
pub fn uncompressed(key: &CompressedKey) -> Option<[u8; 64]> {
    if !matches!(key[0], 2 | 3) {
        return None;
    }
    let point = k256::PublicKey::from_sec1_bytes(key)
        .ok()?
        .to_encoded_point(false);
    point.as_bytes().get(1..)?.try_into().ok()
}

/// The address of a node key; `None` where [`uncompressed`] is.
pub fn address(key: &CompressedKey) -> Option<Address> {
    Some(Address::from_slice(
        keccak256(uncompressed(key)?).get(12..)?,
    ))
}

/// Who made a signature `r ‖ s ‖ v` over a digest; `None` for one that the contracts refuse: a `v`
/// other than 27 and 28 (alloy would take 0, 1 and everything from 35 on for one of them), a high
/// `s`, or no signature at all.
pub fn signer(digest: &B256, signature: &[u8; 65]) -> Option<Address> {
    if !matches!(signature[64], 27 | 28) {
        return None;
    }
    let signature = Signature::from_raw_array(signature).ok()?;
    let low = signature.normalize_s().is_none();
    low.then(|| signature.recover_address_from_prehash(digest).ok())?
}

/// The signature `r ‖ s` of `by` over a digest as the contracts take it, with the `v` that leads to
/// the signer; `None` if it is not theirs. Who knows the signer need not believe a `v` that others
/// could have altered.
pub fn with_parity(digest: &B256, by: Address, signature: &[u8; 64]) -> Option<[u8; 65]> {
    [27, 28].into_iter().find_map(|v| {
        let mut whole = [v; 65];
        whole[..64].copy_from_slice(signature);
        (signer(digest, &whole) == Some(by)).then_some(whole)
    })
}

/// The libp2p peer id of a node key: the identity multihash of the protobuf message (type 2 =
/// secp256k1, key).
pub fn peer_id(key: &CompressedKey) -> [u8; PEER_ID_BYTES] {
    const WRAPPING: [u8; 6] = [0x00, 0x25, 0x08, 0x02, 0x12, 0x21];
    let mut id = [0; PEER_ID_BYTES];
    let bytes = WRAPPING.iter().chain(key);
    id.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    id
}

/// A peer id as people see it: base58.
pub fn peer_id_text(key: &CompressedKey) -> String {
    bs58::encode(peer_id(key)).into_string()
}

#[cfg(test)]
mod tests {
    use alloy::hex;
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;

    use super::*;
    use crate::outcome;

    fn signer_of(byte: u8) -> PrivateKeySigner {
        PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap()
    }

    fn compressed(signer: &PrivateKeySigner) -> CompressedKey {
        signer
            .credential()
            .verifying_key()
            .to_encoded_point(true)
            .as_bytes()
            .try_into()
            .unwrap()
    }

    const DOMAIN: Domain = Domain {
        chain_id: 31_337,
        contract: Address::repeat_byte(7),
    };

    const OWNER: Address = Address::repeat_byte(8);

    fn outcome() -> outcome::Outcome {
        outcome::Outcome {
            since: 2,
            epoch: 3,
            root: B256::repeat_byte(1),
            points: 99,
            certificates: B256::repeat_byte(2),
        }
    }

    fn digest() -> B256 {
        DOMAIN.outcome(OWNER, &outcome())
    }

    #[test]
    fn a_node_key_has_the_address_of_its_signer() {
        for byte in 1..20 {
            let signer = signer_of(byte);
            assert_eq!(address(&compressed(&signer)), Some(signer.address()));
        }
        assert_eq!(address(&[9; 33]), None);
    }

    #[test]
    fn a_node_key_has_one_form() {
        let key = compressed(&signer_of(9));
        let other_parity = 5 - key[0];
        for tag in 0..=255 {
            let mut form = key;
            form[0] = tag;
            assert_eq!(address(&form) == address(&key), tag == key[0], "tag {tag}");
            assert_eq!(
                address(&form).is_some(),
                tag == key[0] || tag == other_parity,
                "tag {tag}"
            );
        }
    }

    /// The key pair of the libp2p peer id specification.
    #[test]
    fn a_peer_id_wraps_the_public_key() {
        let secret = hex!("53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb");
        let key = compressed(&PrivateKeySigner::from_slice(&secret).unwrap());
        let message =
            hex!("08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99");
        assert_eq!(peer_id(&key)[..2], [0x00, 37]);
        assert_eq!(peer_id(&key)[2..], message);
        assert!(
            peer_id_text(&key).starts_with("16Uiu2HA"),
            "{}",
            peer_id_text(&key)
        );
    }

    #[test]
    fn signatures_name_their_signer_and_every_field_counts() {
        let key = signer_of(9);
        let digest = digest();
        let signature: [u8; 65] = key.sign_hash_sync(&digest).unwrap().as_bytes();
        assert_eq!(signer(&digest, &signature), Some(key.address()));
        let altered: [fn(&mut outcome::Outcome); 5] = [
            |outcome| outcome.since += 1,
            |outcome| outcome.epoch += 1,
            |outcome| outcome.root = B256::ZERO,
            |outcome| outcome.points -= 1,
            |outcome| outcome.certificates = B256::ZERO,
        ];
        let mut others: Vec<B256> = altered
            .iter()
            .map(|alter| {
                let mut outcome = outcome();
                alter(&mut outcome);
                DOMAIN.outcome(OWNER, &outcome)
            })
            .collect();
        let [chain, contract] = [
            Domain {
                chain_id: 1,
                ..DOMAIN
            },
            Domain {
                contract: Address::ZERO,
                ..DOMAIN
            },
        ];
        others.extend([chain, contract].map(|domain| domain.outcome(OWNER, &outcome())));
        others.push(DOMAIN.outcome(Address::ZERO, &outcome()));
        assert!(
            others
                .iter()
                .all(|other| signer(other, &signature) != Some(key.address()))
        );
    }

    #[test]
    fn an_altered_parity_is_put_right_and_an_altered_signature_is_not() {
        let digest = digest();
        for byte in 1..20 {
            let key = signer_of(byte);
            let signature: [u8; 65] = key.sign_hash_sync(&digest).unwrap().as_bytes();
            let mut bytes: [u8; 64] = signature[..64].try_into().unwrap();
            assert_eq!(with_parity(&digest, key.address(), &bytes), Some(signature));
            assert_eq!(
                with_parity(&digest, signer_of(byte + 1).address(), &bytes),
                None
            );
            bytes[63] ^= 1;
            assert_eq!(with_parity(&digest, key.address(), &bytes), None);
        }
    }

    #[test]
    fn malformed_and_malleated_signatures_have_no_signer() {
        let digest = digest();
        let signature = signer_of(9).sign_hash_sync(&digest).unwrap();
        let high = Signature::new(signature.r(), order() - signature.s(), !signature.v());
        assert_eq!(
            high.recover_address_from_prehash(&digest).unwrap(),
            signer_of(9).address()
        );
        assert_eq!(signer(&digest, &high.as_bytes()), None);
        assert_eq!(signer(&digest, &[0; 65]), None);
        assert_eq!(signer(&digest, &[255; 65]), None);
    }

    /// The order of secp256k1.
    fn order() -> U256 {
        U256::from_be_bytes(hex!(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        ))
    }
}
