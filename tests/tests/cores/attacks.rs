//! Every attack succeeds without its defence, and is bounded with it.

use deut_tests::attacks::drown;

#[test]
fn announcements_survive_many_others_on_their_torrent() {
    let figure = drown::figure(250);
    println!("{figure}");
    assert!(figure.without < 0.2 && figure.with >= 0.5, "{figure}");
}
