use ed25519_dalek::Signature;

use super::*;
use crate::testing::hex;

/// The key of BEP 44's test vectors.
const PUBLIC: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";
const PLAIN: &str = "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff\
                     1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01";
const SALTED: &str = "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
                      df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08";
const VALUE: &[u8] = b"12:Hello World!";

fn key(text: &str) -> [u8; 32] {
    hex(text).try_into().expect("32 bytes")
}

fn record(
    salt: &[u8],
    seq: i64,
    signature: &str,
    value: &[u8],
) -> Result<MutableRecord, MutableError> {
    let signature = hex(signature).try_into().expect("64 bytes");
    MutableRecord::new(key(PUBLIC), salt.to_vec(), seq, signature, value.to_vec())
}

#[test]
fn the_test_vectors_of_bep_44_have_their_signed_bytes_keys_and_signatures() {
    assert_eq!(signed_bytes(b"", 1, VALUE), b"3:seqi1e1:v12:Hello World!");
    assert_eq!(
        signed_bytes(b"foobar", 1, VALUE),
        b"4:salt6:foobar3:seqi1e1:v12:Hello World!"
    );
    let plain = record(b"", 1, PLAIN, VALUE).expect("test 1");
    assert_eq!(
        plain.key().dht_key().to_string(),
        "4a533d47ec9c7d95b1ad75f576cffc641853b750"
    );
    let salted = record(b"foobar", 1, SALTED, VALUE).expect("test 2");
    assert_eq!(
        salted.key().dht_key().to_string(),
        "411eba73b6f087ca51a3795d9c8c938d365e32c1"
    );
    // Test 3 is the key of an immutable value with the same bytes.
    assert_eq!(
        NodeId::hash_of(VALUE).to_string(),
        "e5f96f6f38320f0f33959cb4d3d656452117aadb"
    );
}

#[test]
fn the_test_vectors_of_bep_46_have_their_keys() {
    let public = key("8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e");
    let dht_key = |salt: &[u8]| mutable_key(&public, salt).to_string();
    assert_eq!(dht_key(b""), "cc3f9d90b572172053626f9980ce261a850d050b");
    assert_eq!(
        dht_key(&hex("6e")),
        "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f"
    );
}

#[test]
fn whatever_the_signature_covers_cannot_be_changed() {
    let wrong = Err(MutableError::WrongSignature);
    assert!(record(b"foobar", 1, SALTED, VALUE).is_ok(), "control");
    assert_eq!(record(b"foobar", 2, SALTED, VALUE), wrong);
    assert_eq!(record(b"foobas", 1, SALTED, VALUE), wrong);
    assert_eq!(record(b"", 1, SALTED, VALUE), wrong);
    assert_eq!(record(b"foobar", 1, PLAIN, VALUE), wrong);
    assert_eq!(record(b"foobar", 1, SALTED, b"12:Hello World?"), wrong);
    for bit in 0..512 {
        let mut signature: [u8; 64] = hex(PLAIN).try_into().expect("64 bytes");
        signature[bit / 8] ^= 1 << (bit % 8);
        let changed = MutableRecord::new(key(PUBLIC), Vec::new(), 1, signature, VALUE.to_vec());
        assert_eq!(changed, wrong, "bit {bit}");
    }
}

#[test]
fn what_cannot_be_a_record_is_refused_with_its_reason() {
    let sign = |salt: usize, seq, value: &[u8]| {
        MutableRecord::sign(&[1; 32], vec![7; salt], seq, value.to_vec())
    };
    let longest = bencode::of_string(&[b'x'; 796]);
    assert_eq!(longest.len(), MAX_VALUE);
    assert!(sign(64, i64::MAX, &longest).is_ok(), "control");
    assert_eq!(sign(65, 1, VALUE), Err(MutableError::SaltTooLong(65)));
    assert_eq!(sign(0, -1, VALUE), Err(MutableError::NegativeSequence));
    let too_long = bencode::of_string(&[b'x'; 797]);
    assert_eq!(sign(0, 1, &too_long), Err(MutableError::ValueTooLarge(801)));
    for value in [&b"Hello"[..], b"", b"5:Helloo"] {
        assert_eq!(sign(0, 1, value), Err(MutableError::NotBencoded));
    }
}

#[test]
fn weak_keys_are_refused_whatever_they_sign() {
    // The identity as public key, and as R with S = 0, passes a verification that is not strict.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert_eq!(
        MutableRecord::new(identity, Vec::new(), 1, signature, VALUE.to_vec()),
        Err(MutableError::WeakKey)
    );
    let lax = ed25519_dalek::VerifyingKey::from_bytes(&identity).expect("a point");
    let message = signed_bytes(b"", 1, VALUE);
    assert!(
        ed25519_dalek::Verifier::verify(&lax, &message, &Signature::from_bytes(&signature)).is_ok(),
        "control: a lax verifier takes it"
    );
    let sent = SentMutable {
        public: identity,
        salt: ShortBytes::default(),
        cas: None,
        version: Version {
            seq: 1,
            signature,
            value: BoundedBytes::new(VALUE.to_vec()).expect("fits"),
        },
    };
    assert!(!sent.is_signed(&Curve25519));
}

#[test]
fn the_higher_number_wins_and_of_equal_ones_the_greater_value() {
    let version = |seq, value: &[u8]| {
        MutableRecord::sign(&[1; 32], Vec::new(), seq, value.to_vec())
            .expect("signs")
            .version
    };
    let (old, new, other) = (version(1, b"1:z"), version(2, b"1:a"), version(2, b"1:b"));
    assert!(new.supersedes(&old) && !old.supersedes(&new));
    assert!(other.supersedes(&new) && !new.supersedes(&other));
    assert!(!new.supersedes(&new) && new.says_the_same(&new) && !new.says_the_same(&other));
}

#[test]
fn debug_output_names_neither_key_nor_value() {
    let record =
        MutableRecord::sign(&[1; 32], b"salt".to_vec(), 3, b"1:a".to_vec()).expect("signs");
    assert_eq!(
        format!("{record:?} {:?}", record.key()),
        "MutableRecord { seq: 3, .. } MutableKey(..)"
    );
}

#[test]
fn a_signature_with_an_r_of_small_order_is_refused() {
    // Made by the holder of seed 01..01 with R = identity and s = H(R, A, M) * a, which satisfies the equation that plain `verify`
    // checks.
    let public = key("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");
    let signature: [u8; 64] = hex(
        "0100000000000000000000000000000000000000000000000000000000000000\
         b7b563b3b4bc499c00701285fd49f36b98117546ebbbacf307e851986af17406",
    )
    .try_into()
    .expect("64 bytes");
    let lax = ed25519_dalek::VerifyingKey::from_bytes(&public).expect("a point");
    let message = signed_bytes(b"", 1, VALUE);
    let taken = ed25519_dalek::Verifier::verify(&lax, &message, &Signature::from_bytes(&signature));
    assert!(taken.is_ok(), "control: a lax verifier takes it");
    assert_eq!(
        MutableRecord::new(public, Vec::new(), 1, signature, VALUE.to_vec()),
        Err(MutableError::WrongSignature)
    );
}
