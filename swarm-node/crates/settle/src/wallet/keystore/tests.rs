use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const CHEAP: Cost = Cost { n: 2, r: 1, p: 1 };
const FRESH: KeystoreRandomness = KeystoreRandomness {
    salt: [1; 32],
    iv: [2; 16],
    id: [3; 16],
};

/// The scrypt vector that the definition of the format publishes, with its password and secret.
const PUBLISHED: &str = r#"{
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": { "iv": "83dbcc02d8ccb40e466191a123791e0e" },
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "n": 262144,
            "r": 1,
            "p": 8,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3
}"#;
const PUBLISHED_SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

fn password() -> Password {
    Password::new("testpassword".into())
}

fn secret() -> Secret {
    Secret::from_bytes(&[9; 32]).unwrap()
}

fn sealed() -> Keystore {
    Keystore::seal(&secret(), &password(), CHEAP, &FRESH).unwrap()
}

/// The error of a keystore in whose text one piece was exchanged.
fn error_after(old: &str, new: &str) -> String {
    let text = sealed().to_text().unwrap();
    assert!(text.contains(old), "{old} is not in {text}");
    let keystore = Keystore::parse(text.replacen(old, new, 1).as_bytes());
    keystore
        .and_then(|keystore| keystore.open(&password()))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_published_vector_opens() {
    let keystore = Keystore::parse(PUBLISHED.as_bytes()).unwrap();
    assert_eq!(
        keystore.open(&password()).unwrap(),
        Secret::from_hex(PUBLISHED_SECRET).unwrap()
    );
    assert_eq!(keystore.address(), None);
}

#[test]
fn sealing_with_the_published_salt_gives_the_published_bytes() {
    let bytes = |text| const_hex::decode_to_array(text).unwrap();
    let salt = const_hex::decode_to_array(
        "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
    )
    .unwrap();
    let fresh = KeystoreRandomness {
        salt,
        iv: bytes("83dbcc02d8ccb40e466191a123791e0e"),
        id: [0; 16],
    };
    let secret = Secret::from_hex(PUBLISHED_SECRET).unwrap();
    let keystore = Keystore::seal(
        &secret,
        &password(),
        Cost {
            n: 1 << 18,
            r: 1,
            p: 8,
        },
        &fresh,
    )
    .unwrap();
    assert_eq!(
        keystore.crypto,
        Keystore::parse(PUBLISHED.as_bytes()).unwrap().crypto
    );
}

#[test]
fn a_written_keystore_has_the_formats_fields() {
    let value: Value = serde_json::from_str(&sealed().to_text().unwrap()).unwrap();
    assert_eq!(value["address"].as_str().unwrap().len(), 40);
    assert_eq!(value["id"], "03030303-0303-4303-8303-030303030303");
    assert_eq!(value["version"], 3);
    assert_eq!(value["crypto"]["kdfparams"]["salt"], "01".repeat(32));
    assert_eq!(value["crypto"]["kdfparams"]["dklen"], 32);
    let capital = sealed()
        .to_text()
        .unwrap()
        .replace("\"crypto\"", "\"Crypto\"");
    assert_eq!(Keystore::parse(capital.as_bytes()).unwrap(), sealed());
}

#[test]
fn a_wrong_password_is_told_apart_from_a_damaged_file() {
    let refused = sealed().open(&Password::new("Testpassword".into()));
    assert_eq!(refused, Err(KeystoreError::Password));
    let text = sealed().to_text().unwrap();
    for length in [0, 1, text.len() / 2, text.len() - 3] {
        assert!(matches!(
            Keystore::parse(&text.as_bytes()[..length]),
            Err(KeystoreError::Malformed(_))
        ));
    }
}

#[test]
fn errors_name_the_value_and_the_remedy() {
    let cases = [
        (
            "\"version\": 3",
            "\"version\": 1",
            "keystore version 1 is not 3; export the key again",
        ),
        (
            "\"version\": 3",
            "\"version\": \"3\"",
            "keystore version \"3\" is not 3",
        ),
        (
            "\"version\"",
            "\"verse\"",
            "no field `version`; the file is truncated or corrupted",
        ),
        (
            "\"kdf\": \"scrypt\"",
            "\"kdf\": \"pbkdf2\"",
            "\"pbkdf2\", only \"scrypt\" is read; export it again",
        ),
        (
            "aes-128-ctr",
            "aes-128-cbc",
            "\"aes-128-cbc\", only \"aes-128-ctr\" is read",
        ),
        (
            "\"dklen\": 32",
            "\"dklen\": 31",
            "derives 31 bytes (dklen), at least 32",
        ),
        ("\"n\": 2", "\"n\": 1099511627776", "n=1099511627776"),
        ("\"n\": 2", "\"n\": -2", "not a keystore: invalid value"),
        ("\"r\": 1", "\"r\": 4294967295", "smaller cost"),
        (
            "\"mac\": \"",
            "\"mac\": \"00",
            "66 characters where 64 hexadecimal digits belong",
        ),
        ("\"mac\"", "\"mack\"", "missing field `mac`"),
        (
            "\"salt\": \"01",
            "\"salt\": \"02",
            "the password is wrong, or the keystore was changed",
        ),
    ];
    for (old, new, expected) in cases {
        let error = error_after(old, new);
        assert!(error.contains(expected), "{old} -> {new}: {error}");
    }
}

#[test]
fn a_false_address_is_refused_with_both() {
    let stated = Address([0x11; 20]);
    let error = error_after(
        &const_hex::encode(secret().address().0),
        &const_hex::encode(stated.0),
    );
    assert!(
        error.contains(&stated.to_string()) && error.contains(&secret().address().to_string()),
        "{error}"
    );
}

#[test]
fn an_encrypted_zero_is_no_key() {
    let key = CHEAP.derive(&password(), &FRESH.salt).unwrap();
    let mut keystore = sealed();
    keystore.crypto.ciphertext.0 = [0; 32];
    apply_cipher(&key, &FRESH.iv, &mut keystore.crypto.ciphertext.0);
    keystore.crypto.mac.0 = mac(&key, &keystore.crypto.ciphertext.0);
    assert_eq!(keystore.open(&password()), Err(KeystoreError::NotAKey));
}

static TEXT: LazyLock<String> = LazyLock::new(|| sealed().to_text().unwrap());

proptest! {
    #[test]
    fn what_is_sealed_opens(
        secret: [u8; 32],
        word: String,
        salt: [u8; 32],
        iv: [u8; 16],
        id: [u8; 16],
    ) {
        let Ok(secret) = Secret::from_bytes(&secret) else { return Ok(()) };
        let password = Password::new(word);
        let random = KeystoreRandomness { salt, iv, id };
        let keystore = Keystore::seal(&secret, &password, CHEAP, &random).unwrap();
        let read = Keystore::parse(keystore.to_text().unwrap().as_bytes()).unwrap();
        prop_assert_eq!(&read, &keystore);
        prop_assert_eq!(read.address(), Some(secret.address()));
        prop_assert_eq!(read.open(&password).unwrap(), secret);
    }

    /// A changed byte is refused, or changes nothing: another key never comes out.
    #[test]
    fn a_changed_byte_never_gives_another_key(place in 0..TEXT.len(), byte: u8) {
        let mut bytes = TEXT.clone().into_bytes();
        bytes[place] = byte;
        // Costs that became expensive are the affair of another test.
        let Ok(keystore) = Keystore::parse(&bytes) else { return Ok(()) };
        if keystore.crypto.kdfparams.n <= 4096 {
            prop_assert!(keystore.open(&password()).map_or(true, |found| found == secret()));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        prop_assert!(Keystore::parse(&bytes).is_err());
    }
}
