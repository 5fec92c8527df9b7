//! Captures that are cut off, damaged, or none at all.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_whole_of_a_truncated_capture_is_delivered() {
    let mut old = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    old.record(1, 0, b"whole", 5);
    let old_end = old.bytes.len();
    old.record(1, 1, b"cut off", 7);
    let mut new = Writer::new(Order::Big);
    new.section();
    new.interface(ETHERNET, 0, None, None);
    new.enhanced(0, 1, b"whole", 5);
    let new_end = new.bytes.len();
    new.enhanced(0, 1, b"cut off", 7);
    for (bytes, whole) in [(old.bytes, old_end), (new.bytes, new_end)] {
        for end in whole..bytes.len() {
            let (seen, problem) = read(&bytes[..end]);
            assert_eq!(seen.len(), 1);
            let truncated = CaptureProblem { offset: whole as u64, cause: ProblemCause::Truncated };
            assert_eq!(problem, (end > whole).then_some(truncated));
        }
    }
}

#[test]
fn a_damaged_record_ends_the_capture_where_it_begins() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    writer.record(1, 0, b"fine", 4);
    let offset = writer.bytes.len() as u64;
    writer.words(&[1, 1, u32::MAX, 60]);
    let (seen, problem) = read(&writer.bytes);
    assert_eq!(seen.len(), 1);
    let cause = ProblemCause::Damaged("a packet of more than 16 MiB");
    assert_eq!(problem, Some(CaptureProblem { offset, cause }));
    assert!(problem_text(&writer.bytes).contains("damaged: a packet of more than 16 MiB (at byte"));
}

fn problem_text(bytes: &[u8]) -> String {
    read(bytes).1.unwrap().to_string()
}

#[test]
fn what_is_not_a_capture_is_named() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "is empty"),
        (b"hello, world: this is no capture", "it is neither pcap nor pcapng"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "ends within its header"),
        (b"\xa1\xb2\xcd\x34\0\x02\0\x04", "ends within its header"),
        (b"snoop\0\0\0\0\0\0\x02\0\0\0\x04", "is a capture of snoop"),
        (b"GMBU\x02\0rest", "is a capture of Microsoft Network Monitor"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a", "ends within its header"),
    ];
    for (bytes, words) in cases {
        let error = open_bytes(bytes, Share::ALL).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let missing = CaptureSource::open(Path::new("/no/such.pcap"), Share::ALL).unwrap_err();
    assert!(missing.to_string().contains("/no/such.pcap: No such file"), "{missing}");
    let folder = CaptureSource::open(Path::new("/"), Share::ALL).unwrap_err();
    assert!(folder.to_string().contains("is a directory"), "{folder}");
}

#[test]
fn a_capture_without_packets_ends_at_once() {
    check(&Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET).bytes, &[]);
}

proptest! {
    #[test]
    fn damaged_captures_come_to_an_end(
        pcapng in any::<bool>(),
        big in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let order = if big { Order::Big } else { Order::Little };
        let mut writer = Writer::pcap(order, 0xa1b2_c3d4, ETHERNET);
        if pcapng {
            writer.bytes.clear();
            writer.section();
            writer.interface(ETHERNET, 4, Some(6), Some(3));
            for n in 0..4 {
                writer.enhanced(0, n, b"enhanced", 60);
                writer.simple(b"simp", 60);
                writer.obsolete(0, n, b"obsolete", 60);
            }
        } else {
            for n in 0..8 {
                writer.record(n, n, b"a frame", 60);
            }
        }
        let mut bytes = writer.bytes;
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(keep.index(bytes.len()) + 1);
        if let Ok(mut source) = open_bytes(&bytes, Share::ALL) {
            prop_assert!(drain(&mut source).len() <= 64);
        }
    }
}
