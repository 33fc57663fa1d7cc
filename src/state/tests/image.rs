//! Images: what is sent is what was there, however the transfer goes.

use bytes::Bytes;

use super::support::{Store, log_id};
use super::transfer::{LARGE, fill, look, pieces, receive, receiver, try_receive};
use crate::state::piece::{self, Builder, TARGET, Totals};
use crate::state::{ReceiveError, Taken};
use crate::storage::engine::Space;

fn filled() -> Store {
    let mut store = Store::new();
    fill(&mut store);
    store
}

/// What a member holds that takes over these pieces.
fn taken_over(sent: Vec<Bytes>) -> Vec<String> {
    let mut member = Store::member();
    let received = try_receive(&member, sent).unwrap();
    member.machine.adopt(received).unwrap();
    look(&member)
}

#[test]
fn what_arrives_is_what_was_sent() {
    let store = filled();
    let image = store.machine.image().unwrap();
    assert_eq!(
        (image.applied(), image.membership()),
        (store.machine.applied(), store.machine.membership())
    );
    let sent = pieces(&image);
    let larger: Vec<_> = sent.iter().filter(|piece| piece.len() > TARGET).collect();
    assert!(sent.len() > 3, "{} pieces", sent.len());
    assert!(matches!(larger[..], [large] if large.len() > LARGE), "one holds the large value");
    assert_eq!(taken_over(sent), look(&store));
}

#[test]
fn what_is_written_while_it_is_sent_is_not_in_it() {
    let mut store = filled();
    let (image, before) = (store.machine.image().unwrap(), look(&store));
    let mut sent = Vec::new();
    for (round, piece) in image.pieces(0).enumerate() {
        sent.push(piece.unwrap());
        store.put(&format!("k{round:02}"), "later");
        store.grant(100 + round as i64);
        store.delete("k2", "k3");
        store.configure(&[1, 7, 8 + round as u64]);
        store.compact(store.reader.revision());
    }
    assert_ne!(look(&store), before);
    assert_eq!(taken_over(sent), before);
}

#[test]
fn an_empty_state_has_an_image_without_content() {
    let store = Store::new();
    let image = store.machine.image().unwrap();
    let sent = pieces(&image);
    assert_eq!((sent.len(), image.applied()), (1, None));
    let member = Store::member();
    let received = try_receive(&member, sent).unwrap();
    assert_eq!((received.applied(), received.revision()), (None, 1));
}

#[test]
fn a_broken_transfer_goes_on_where_it_stopped() {
    let store = filled();
    let all = pieces(&store.machine.image().unwrap());
    for from in 0..all.len() + 2 {
        // One that was never read up to there.
        let image = store.machine.image().unwrap();
        for _ in 0..2 {
            let rest: Vec<_> = image.pieces(from as u64).map(Result::unwrap).collect();
            assert!(rest[..] == all[from.min(all.len())..], "from {from}");
        }
    }
    let (mut member, image) = (Store::member(), store.machine.image().unwrap());
    let mut receiver = receiver(&member);
    while receiver.wanted() < all.len() as u64 {
        for piece in image.pieces(receiver.wanted()).take(2) {
            receiver.take(piece.unwrap()).unwrap();
        }
    }
    member.machine.adopt(receiver.finish().unwrap()).unwrap();
    assert_eq!(look(&member), look(&store));
}

#[test]
fn pieces_that_are_wrong_are_named_and_not_taken() {
    let (store, member) = (filled(), Store::member());
    let sent = pieces(&store.machine.image().unwrap());
    let mut receiver = receiver(&member);
    let early = receiver.take(sent[1].clone()).unwrap_err();
    assert_eq!(early.to_string(), "piece 1 of the state came where piece 0 should follow");
    assert_eq!(receiver.take(sent[0].clone()).unwrap(), Taken::Stored);
    assert_eq!(receiver.take(sent[0].clone()).unwrap(), Taken::Known);
    let mut flipped = sent[1].to_vec();
    flipped[5000] ^= 1;
    let damaged = receiver.take(flipped.into()).unwrap_err().to_string();
    assert!(damaged.contains("piece 1 of the state was expected"), "{damaged}");
    assert!(damaged.contains("its checksum is"), "{damaged}");
    let cut = receiver.take(sent[1].slice(..10)).unwrap_err().to_string();
    assert!(cut.contains("it is 10 bytes long, expected at least 22"), "{cut}");
    let mut other = Store::new();
    other.put("k", "v");
    let foreign = pieces(&other.machine.image().unwrap()).remove(0);
    let foreign = receiver.take(foreign).unwrap_err();
    assert!(matches!(foreign, ReceiveError::OtherImage { .. }), "{foreign}");
    // None of that did any harm.
    let rest = sent[1..].iter().map(|piece| receiver.take(piece.clone()).unwrap());
    assert_eq!(rest.last(), Some(Taken::Last));
    let more = piece_of(&receiver_image(&sent), sent.len() as u64, &[(b"k", b"v")]);
    let more = receiver.take(more).unwrap_err();
    assert!(matches!(more, ReceiveError::PastEnd { .. }), "{more}");
    assert_eq!(receiver.finish().unwrap().applied(), store.machine.applied());
}

/// The name of the image in a piece.
fn receiver_image(sent: &[Bytes]) -> u64 {
    piece::Piece::decode(sent[0].clone()).unwrap().image
}

fn piece_of(image: &u64, number: u64, pairs: &[(&[u8], &[u8])]) -> Bytes {
    let mut piece = Builder::new(*image, number);
    for (key, value) in pairs {
        piece.push(Space::Auth, key, value).unwrap();
    }
    piece.finish()
}

#[test]
fn a_whole_that_is_not_what_was_sent_is_refused() {
    let member = Store::member();
    let early = receiver(&member).finish().map(drop).unwrap_err();
    assert_eq!(early.to_string(), "the state is not complete: piece 0 has not come");
    let right = Totals { pieces: 2, pairs: 1, sum: piece::chain(0, b"") };
    for (totals, what) in [
        (Totals { pieces: 3, ..right }, "the state has 2 pieces, expected 3"),
        (Totals { pairs: 7, ..right }, "the state has 1 pairs, expected 7"),
        (right, "as its checksum, expected"),
    ] {
        let sent = vec![piece_of(&1, 0, &[(b"k", b"v")]), piece::end(1, 1, totals)];
        let error = try_receive(&member, sent).map(drop).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    for pairs in [[(&b"b"[..], &b""[..]), (b"a", b"")], [(b"a", b""), (b"a", b"")]] {
        let error = try_receive(&member, vec![piece_of(&1, 0, &pairs)]).map(drop).unwrap_err();
        assert!(matches!(error, ReceiveError::Disorder { number: 0 }), "{error}");
        let apart = pairs.map(|pair| [pair]);
        let sent = (0..).zip(&apart).map(|(number, pairs)| piece_of(&1, number, pairs)).collect();
        let error = try_receive(&member, sent).map(drop).unwrap_err();
        assert!(matches!(error, ReceiveError::Disorder { number: 1 }), "{error}");
    }
}

/// Every sum is right, and still it is no state: its sender was not well.
#[test]
fn a_state_that_is_not_whole_is_refused() {
    let (store, member) = (filled(), Store::member());
    let mut lost = store.machine.engine.batch();
    let at = crate::types::revision::Revision::new(45, 0);
    lost.delete(Space::Records, &at.to_bytes());
    lost.commit().unwrap();
    let error = try_receive(&member, pieces(&store.machine.image().unwrap())).map(drop);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("the records of revision 45 are missing"), "{error}");
    assert_eq!(folders(&member), 1);
}

#[test]
fn a_disk_that_is_getting_full_receives_nothing() {
    let (store, member) = (filled(), Store::member());
    let intake = member.machine.intake().unwrap();
    let mut receiver = receiver(&member);
    let mut sent = pieces(&store.machine.image().unwrap()).into_iter();
    receiver.take(sent.next().unwrap()).unwrap();
    intake.engine.space.log_is_short(true);
    let error = receiver.take(sent.next().unwrap()).unwrap_err();
    assert!(matches!(error, ReceiveError::NoSpace { .. }), "{error}");
    assert_eq!(receiver.wanted(), 1);
    drop(receiver);
    assert_eq!(folders(&member), 1);
}

fn folders(member: &Store) -> usize {
    let states = member.folder();
    let entries = std::fs::read_dir(states.parent().unwrap()).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

#[test]
fn nothing_is_left_of_what_was_not_taken_over() {
    let (store, member) = (filled(), Store::member());
    let received = receive(&member, &store);
    assert_eq!((received.applied(), folders(&member)), (Some(log_id(store.index)), 2));
    drop(received);
    assert_eq!(folders(&member), 1);
    let mut half = receiver(&member);
    half.take(pieces(&store.machine.image().unwrap()).remove(0)).unwrap();
    assert_eq!(folders(&member), 2);
    drop(half);
    assert_eq!(folders(&member), 1);
}
