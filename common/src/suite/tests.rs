use rand::SeedableRng;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .expect("hexadecimal digits")
}

fn key(text: &str) -> [u8; 32] {
    hex(text).try_into().expect("32 bytes")
}

#[test]
fn weak_non_canonical_and_off_curve_keys_are_refused() {
    let small = |y: u8| {
        let mut bytes = [0; 32];
        bytes[0] = y;
        bytes
    };
    let order_two = key("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    let order_eight = key("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
    for weak in [small(1), small(0), order_two, order_eight] {
        assert!(
            VerifyingKey::from_bytes(&weak).is_ok(),
            "control: these decode as points"
        );
        assert!(!Curve25519.is_usable(&weak));
        assert!(!Curve25519.verify(&weak, b"text", &[0; 64]));
    }
    // y = 2 belongs to no point of the curve.
    assert!(!Curve25519.is_usable(&small(2)));
    // y = p + 3 is y = 3 written a second time; 3 itself is a point of large order.
    let three_again = key("f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    assert!(Curve25519.is_usable(&small(3)), "control");
    assert!(VerifyingKey::from_bytes(&three_again).is_ok(), "control");
    assert!(!Curve25519.is_usable(&three_again));
}

#[test]
fn a_signature_holds_for_its_key_and_message_only() {
    let (one, other) = (
        SigningKey::from_bytes(&[1; 32]),
        SigningKey::from_bytes(&[2; 32]),
    );
    let public = one.verifying_key().to_bytes();
    let signature = Curve25519.sign(&one, b"message");
    assert!(Curve25519.verify(&public, b"message", &signature));
    assert!(!Curve25519.verify(&public, b"massage", &signature));
    assert!(!Curve25519.verify(&other.verifying_key().to_bytes(), b"message", &signature));
    let mut altered = signature;
    altered[0] ^= 1;
    assert!(!Curve25519.verify(&public, b"message", &altered));
}

#[test]
fn both_forms_of_a_recipients_key_belong_together() {
    let by = OpeningKey::from_seed(&[9; 32]);
    let secret = Secret::from_bytes(by.scalar.as_slice()).expect("32 bytes");
    let public = usable(&by.public().0).expect("a good key").to_montgomery();
    assert_eq!(
        <[u8; 32]>::from(X25519HkdfSha256::sk_to_pk(&secret).to_bytes()),
        public.to_bytes()
    );
}

#[test]
fn what_is_sealed_opens_with_the_same_context_and_exports() {
    let (by, other) = (
        OpeningKey::from_seed(&[1; 32]),
        OpeningKey::from_seed(&[2; 32]),
    );
    let text = |text| Text {
        info: b"info",
        associated: b"gate",
        text,
    };
    let (mut ours, mut theirs) = ([0; 16], [0; 16]);
    let exports = &mut [Export {
        label: b"id",
        to: &mut ours,
    }];
    let rng = &mut StdRng::seed_from_u64(1);
    let (encapsulated, sealed) = Curve25519
        .seal(&by.public(), text(b"hello"), exports, rng)
        .expect("a good key");
    assert_eq!(sealed.len(), 5 + SEAL_TAG);
    let exports = &mut [Export {
        label: b"id",
        to: &mut theirs,
    }];
    let opened = Curve25519.open(&by, &encapsulated, text(&sealed), exports);
    assert_eq!(opened.expect("genuine").as_slice(), b"hello");
    assert_eq!(ours, theirs);
    assert_ne!(ours, [0; 16]);
    let open = |by, text| Curve25519.open(by, &encapsulated, text, &mut []);
    assert!(open(&by, text(&sealed)).is_some(), "control");
    assert!(open(&other, text(&sealed)).is_none());
    assert!(
        open(
            &by,
            Text {
                info: b"other",
                ..text(&sealed)
            }
        )
        .is_none()
    );
    assert!(
        open(
            &by,
            Text {
                associated: b"other",
                ..text(&sealed)
            }
        )
        .is_none()
    );
    assert!(
        Curve25519
            .open(&by, &[0; 32], text(&sealed), &mut [])
            .is_none(),
        "small order"
    );
    let weak = PersonaKey([0; 32]);
    assert!(Curve25519.seal(&weak, text(b""), &mut [], rng).is_none());
}

/// RFC 9180, A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, sequence number 0.
#[test]
fn the_vector_of_rfc_9180_opens() {
    let by = OpeningKey {
        public: PersonaKey([0; 32]),
        scalar: Zeroizing::new(key(
            "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
        )),
    };
    let secret = Secret::from_bytes(by.scalar.as_slice()).expect("32 bytes");
    assert_eq!(
        <[u8; 32]>::from(X25519HkdfSha256::sk_to_pk(&secret).to_bytes()),
        key("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
    );
    let encapsulated = key("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
    let (info, sealed) = (
        hex("4f6465206f6e2061204772656369616e2055726e"),
        hex(
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db
             21993c62ce81883d2dd1b51a28",
        ),
    );
    let text = |associated| Text {
        info: &info,
        associated,
        text: &sealed,
    };
    let mut exported = [0; 32];
    let exports = &mut [Export {
        label: &[],
        to: &mut exported,
    }];
    let opened = Curve25519.open(&by, &encapsulated, text(b"Count-0"), exports);
    assert_eq!(
        opened.expect("genuine").as_slice(),
        b"Beauty is truth, truth beauty"
    );
    assert_eq!(
        exported,
        key("4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e")
    );
    assert!(
        Curve25519
            .open(&by, &encapsulated, text(b"Count-1"), &mut [])
            .is_none()
    );
}

#[test]
fn debug_shows_no_secret() {
    assert_eq!(
        format!("{:?}", OpeningKey::from_seed(&[0xab; 32])),
        "OpeningKey(..)"
    );
}

#[test]
fn a_suite_is_equal_to_itself_only() {
    let one = SuiteRef::default();
    assert_eq!(one, one.clone());
    assert_ne!(one, SuiteRef::default());
}
