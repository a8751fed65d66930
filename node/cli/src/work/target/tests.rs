//! Tests that `deut get` takes every form in `tests/vectors/magnets.json` as its table says.
use super::*;
use crate::report::hex;
use serde_json::{Value, json};

/// The meaning of a form in the column `deut` of the table.
fn meaning(text: &str) -> Value {
    let torrent = |magnet: &Magnet| match magnet {
        Magnet::First(first) => json!({ "v1": hex(first) }),
        Magnet::Second(second) => json!({ "v2": hex(second) }),
        Magnet::Hybrid(first, second) => json!({ "v1": hex(first), "v2": hex(second) }),
    };
    match Target::parse(text) {
        Ok(Target::Magnet(magnet)) => torrent(&magnet),
        Ok(Target::Key(key)) => json!({ "key": key.to_string() }),
        Ok(Target::Named(of)) => {
            json!({ "record": hex(&of.public_key()), "salt": hex(of.salt()) })
        }
        Ok(Target::Mutable(..)) => panic!("{text}: only --mutable asks for it"),
        Err(failure) => {
            assert_eq!(failure.kind, Exit::BadInput, "{text}");
            assert!(failure.hint.is_some(), "{text}: no hint");
            json!({ "error": failure.message })
        }
    }
}

#[test]
fn every_form_of_the_table_means_what_it_says() {
    let table = include_str!("../../../../../tests/vectors/magnets.json");
    let table: Vec<Value> = serde_json::from_str(table).expect("JSON");
    assert!(table.len() >= 49, "{}", table.len());
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|row| {
            let form = row["form"].as_str().expect("a form");
            let is = meaning(form);
            (is != row["deut"]).then(|| format!("{form:?}\n  is {is}\n  not {}", row["deut"]))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_infohash_that_was_taken_for_a_key_gets_its_link() {
    let infohash = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    let missed = || Failure::new(Exit::NotFound, "nothing found").hint("check the link");
    let advice = |text: &str, failure| Target::parse(text).expect("valid").advise(failure).hint;
    let hint = advice(infohash, missed()).expect("a hint");
    let link = format!("magnet:?xt=urn:btih:{infohash}");
    assert!(hint.contains(&format!("deut get '{link}'")), "{hint}");
    assert_eq!(magnet(infohash), magnet(&link), "who announces means it");
    assert_eq!(advice(&link, missed()), missed().hint, "control: a link");
    let other = Failure::new(Exit::NotJoined, "nobody answered");
    assert_eq!(advice(infohash, other), None, "control: not asked");
}

#[test]
fn sixty_four_digits_are_told_apart_by_who_types_them() {
    let digits = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";
    for failure in [Target::parse(digits).err(), magnet(digits).err()] {
        let hint = failure.and_then(|failure| failure.hint).expect("a hint");
        assert!(hint.contains(&format!("urn:btmh:1220{digits}")), "{hint}");
        assert!(hint.contains(&format!("--mutable {digits}")), "{hint}");
    }
    assert!(magnet(&format!("1220{digits}")).is_ok(), "control");
}
