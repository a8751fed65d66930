use super::*;

const SOON: Mono = Mono(1_000);
const PATIENCE: Mono = Mono(9_000);

fn queue(purposes: impl IntoIterator<Item = Purpose>) -> RequestQueue {
    let mut queue = RequestQueue::default();
    purposes.into_iter().for_each(|purpose| queue.push(purpose));
    queue
}

fn exchange() -> Purpose {
    Purpose::Exchange {
        spki: Box::new([1; SPKI_LEN]),
        sealed: Box::new([2; OAEP_LEN]),
    }
}

/// Sends the request under way as often as it may be sent.
fn send_in_vain(queue: &mut RequestQueue) {
    assert!(queue.begin_next(Mono(0)));
    for _ in 0..SENDS {
        assert!(matches!(queue.overdue(SOON, PATIENCE), Overdue::Again));
        assert!(queue.send(SOON).is_some());
    }
}

#[test]
fn one_is_under_way_at_a_time_and_numbers_go_up() {
    let mut queue = queue([Purpose::Seeds, Purpose::Close]);
    assert!(queue.begin_next(Mono(0)));
    assert_eq!(queue.send(SOON), Some(Cell::Seeds { number: 0 }));
    assert!(!queue.begin_next(SOON));
    assert!(queue.answered(0).is_ok());
    assert!(queue.begin_next(SOON));
    assert_eq!(queue.send(SOON), Some(Cell::Close { number: 1 }));
}

#[test]
fn only_the_answer_to_the_request_under_way_counts() {
    let mut queue = queue([Purpose::Seeds]);
    queue.begin_next(Mono(0));
    assert_eq!(queue.answered(1).err(), Some(DropReason::UnexpectedCell));
    assert!(queue.answered(0).is_ok());
    assert_eq!(queue.answered(0).err(), Some(DropReason::LateAnswer));
}

#[test]
fn after_three_sends_it_is_given_up() {
    let mut queue = queue([Purpose::Seeds]);
    assert!(matches!(queue.overdue(SOON, PATIENCE), Overdue::Not));
    send_in_vain(&mut queue);
    assert!(queue.is_repeated());
    assert!(matches!(queue.overdue(Mono(999), PATIENCE), Overdue::Not));
    let given_up = queue.overdue(SOON, PATIENCE);
    assert!(matches!(given_up, Overdue::GivenUp(Purpose::Seeds)));
    assert!(queue.is_idle() && queue.due().is_none());
}

#[test]
fn an_exchange_waits_for_the_end_of_the_build() {
    let mut queue = queue([exchange()]);
    send_in_vain(&mut queue);
    assert!(matches!(queue.overdue(SOON, PATIENCE), Overdue::Not));
    assert_eq!(queue.due(), Some(PATIENCE));
    assert!(queue.answered(0).is_ok());
}

#[test]
fn a_request_that_was_put_back_comes_first_under_a_fresh_number() {
    let mut queue = queue([Purpose::Seeds, Purpose::Close]);
    queue.begin_next(Mono(0));
    queue.put_back();
    assert_eq!(queue.answered(0).err(), Some(DropReason::LateAnswer));
    queue.begin_next(SOON);
    assert_eq!(queue.send(SOON), Some(Cell::Seeds { number: 1 }));
}

#[test]
fn more_than_eight_do_not_wait() {
    let mut queue = queue((0..20).map(|_| Purpose::Seeds));
    let mut sent = 0;
    while queue.begin_next(SOON) {
        assert!(queue.answered(sent).is_ok());
        sent += 1;
    }
    assert_eq!(sent, 8);
}

#[test]
fn a_contact_is_sent_as_it_is_by_then() {
    let contact = |number, contact: &[u8]| Cell::Advertise {
        number,
        contact: contact.to_vec(),
    };
    let mut queue = queue([Purpose::Advertise(vec![1])]);
    assert!(queue.renew_contact(&[2]));
    queue.begin_next(Mono(0));
    assert_eq!(queue.send(SOON), Some(contact(0, &[2])));
    // The request is under way, so the new contact must still be asked for; but repeats carry it.
    assert!(!queue.renew_contact(&[3]));
    assert_eq!(queue.send(SOON), Some(contact(0, &[3])));
}
