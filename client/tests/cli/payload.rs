//! `peek`: dumps, raw bytes, whole buffers across holes.

use crate::fake::{BUSY_FLOW, FLOW, Fake, HELD_END, HOLE, REQUEST, byte_at};

#[test]
fn a_dump_is_what_people_get() {
    let ended = Fake::start().run(&["peek", FLOW, "--side", "server", "--bytes", "18"]).code(0);
    assert_eq!(
        ended.text(),
        "00000000  47 45 54 20 2f 20 48 54  54 50 2f 31 2e 31 0d 0a  |GET / HTTP/1.1..|\n\
         00000010  48 6f                                             |Ho|\n"
    );
    assert_eq!(ended.stderr, "shown up to 18; held 0..37; more at --offset 18\n");
}

#[test]
fn raw_bytes_are_written_as_they_are() {
    let ended = Fake::start().run(&["peek", FLOW, "--side", "server", "--raw", "--all"]).code(0);
    assert_eq!(ended.silent().stdout, REQUEST);
}

#[test]
fn a_whole_buffer_is_extracted_and_its_hole_is_told() {
    let ended = Fake::start().run(&["peek", FLOW, "--side", "client", "--raw", "--all"]).code(3);
    let expected: Vec<u8> =
        (0..HELD_END).filter(|at| !(HOLE.0..HOLE.1).contains(at)).map(byte_at).collect();
    assert!(ended.stdout == expected, "{} bytes of {}", ended.stdout.len(), expected.len());
    ended.says(&["note: 10000..10100 is a hole", "warning: 100 bytes are not in the buffer"]);
}

#[test]
fn a_peek_ends_at_a_hole_and_says_where_data_go_on() {
    let fake = Fake::start();
    let peek = ["peek", FLOW, "--side", "client", "--raw", "--bytes", "1MiB"];
    let ended = fake.run(&peek).code(0).says(&["more at --offset 10100"]);
    assert_eq!(ended.stdout.len(), 10_000);
    let ended = fake.run(&[&peek[..], &["--offset", "10050"]].concat()).code(0);
    assert_eq!(ended.stdout.len(), 1 << 20);
    assert_eq!(ended.stdout[0], byte_at(10_100));
    ended.says(&["note: 10050..10100 is a hole"]);
}

#[test]
fn what_is_overwritten_while_it_is_read_is_skipped_and_told() {
    let peek = ["peek", BUSY_FLOW, "--side", "client", "--raw", "--all"];
    let ended = Fake::start().run(&peek).code(3);
    let expected: Vec<u8> =
        (0..HELD_END).filter(|at| !(1 << 20..1_049_576).contains(at)).map(byte_at).collect();
    assert!(ended.stdout == expected, "{} bytes of {}", ended.stdout.len(), expected.len());
    ended.says(&["note: 1048576..1049576 was overwritten while reading"]);
}

#[test]
fn an_offset_that_is_gone_is_the_callers_to_choose_again() {
    let peek = ["peek", BUSY_FLOW, "--side", "client", "--offset", "1048576"];
    Fake::start().run(&peek).code(8).says(&["DATA_OVERWRITTEN", "oldestOffset", "--offset"]);
}

#[test]
fn json_carries_offsets_beside_the_data() {
    let peek = ["peek", FLOW, "--side", "server", "-o", "jsonl"];
    let json = Fake::start().run(&peek).code(0).json();
    assert_eq!((&json["offset"], &json["newestOffset"]), (&"0".into(), &"37".into()));
    assert_eq!(json.get("nextHeldOffset"), None);
    Fake::start().run(&["peek", FLOW, "--side", "server", "-o", "name"]).code(2);
}
