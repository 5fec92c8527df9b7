//! pcap and pcapng, in both byte orders.

use super::*;

#[test]
fn pcap_in_both_byte_orders_and_precisions() {
    for order in [Order::Little, Order::Big] {
        for (magic, unit) in [(0xa1b2_c3d4, 1000), (0xa1b2_3c4d, 1)] {
            let mut writer = Writer::pcap(order, magic, ETHERNET);
            writer.record(1_700_000_000, 1, b"first frame", 11);
            writer.record(1_700_000_000, 999, b"cut", 1514);
            let start = 1_700_000_000 * SECOND;
            check(
                &writer.bytes,
                &[(start + unit, b"first frame", 11), (start + 999 * unit, b"cut", 1514)],
            );
        }
    }
}

#[test]
fn pcap_with_the_longer_record_headers() {
    for order in [Order::Little, Order::Big] {
        let mut writer = Writer::pcap(order, 0xa1b2_cd34, ETHERNET);
        for second in [5, 6] {
            writer.words(&[second, 7, 3, 9, 0x0102_0304, 0x0506_0708]);
            writer.bytes.extend_from_slice(b"abc");
        }
        check(&writer.bytes, &[(5 * SECOND + 7000, b"abc", 9), (6 * SECOND + 7000, b"abc", 9)]);
    }
}

#[test]
fn pcapng_in_both_byte_orders_with_every_kind_of_packet() {
    for order in [Order::Little, Order::Big] {
        let mut writer = Writer::new(order);
        writer.section();
        writer.block(4, |w| w.word(0)); // Names: of no interest.
        writer.interface(ETHERNET, 6, None, None);
        writer.enhanced(0, 2_000_001, b"12345", 60);
        writer.simple(b"123456", 90);
        writer.obsolete(0, 2_000_002, b"odd", 3);
        check(
            &writer.bytes,
            &[
                (2 * SECOND + 1000, b"12345", 60),
                (2 * SECOND + 1000, b"123456", 90),
                (2 * SECOND + 2000, b"odd", 3),
            ],
        );
    }
}

#[test]
fn every_interface_has_its_own_resolution_and_clock_offset() {
    for order in [Order::Little, Order::Big] {
        let mut writer = Writer::new(order);
        writer.section();
        writer.interface(ETHERNET, 0, Some(9), None);
        writer.interface(ETHERNET, 0, Some(3), Some(1000));
        writer.interface(ETHERNET, 0, Some(0x80 | 10), Some(-1));
        writer.enhanced(0, 1_000 * SECOND + 5, b"a", 1);
        writer.enhanced(1, 1_250, b"b", 1);
        writer.enhanced(2, 1003 * 1024 + 512, b"c", 1);
        check(
            &writer.bytes,
            &[
                (1000 * SECOND + 5, b"a", 1),
                (1001 * SECOND + SECOND / 4, b"b", 1),
                (1002 * SECOND + SECOND / 2, b"c", 1),
            ],
        );
    }
}

#[test]
fn a_new_section_has_its_own_byte_order_and_interfaces() {
    let mut first = Writer::new(Order::Little);
    first.section();
    first.interface(ETHERNET, 0, None, None);
    first.enhanced(0, 1, b"little", 6);
    let mut second = Writer::new(Order::Big);
    second.section();
    second.interface(ETHERNET, 0, Some(9), None);
    second.enhanced(0, 2000, b"big", 3);
    let both = [first.bytes.clone(), second.bytes].concat();
    check(&both, &[(1000, b"little", 6), (2000, b"big", 3)]);

    let mut forgetful = Writer::new(Order::Little);
    forgetful.section();
    forgetful.enhanced(0, 1, b"whose?", 6);
    let whole = [first.bytes, forgetful.bytes.clone()].concat();
    check(&whole, &[(1000, b"little", 6), (1000, b"whose?", 6)]);
    let mut source = open_bytes(&whole, Share::ALL).unwrap();
    drain(&mut source);
    assert_eq!(source.findings().unread, [(None, 1)].into());
    let (_, problem) = read(&forgetful.bytes);
    let cause = ProblemCause::Damaged("no packet is of an interface that it describes");
    assert_eq!(problem, Some(CaptureProblem { offset: forgetful.bytes.len() as u64, cause }));
}

#[test]
fn a_simple_packet_is_as_long_as_it_was_or_as_was_captured() {
    for order in [Order::Little, Order::Big] {
        for (snaplen, frame, wire_length) in
            [(0, &b"12345"[..], 5), (6, b"12345", 5), (6, b"123456", 90), (0, b"12345678", 8)]
        {
            let mut writer = Writer::new(order);
            writer.section();
            writer.interface(ETHERNET, snaplen, None, None);
            writer.simple(frame, wire_length);
            check(&writer.bytes, &[(0, frame, wire_length)]);
        }
    }
}

#[test]
fn an_interface_with_a_strange_description_has_its_packets_read() {
    for order in [Order::Little, Order::Big] {
        let mut writer = Writer::new(order);
        writer.section();
        writer.interface(ETHERNET, 0, None, None);
        writer.interface(ETHERNET, 0, Some(99), None);
        // An option that is longer than its block.
        writer.block(1, |w| {
            w.half(ETHERNET);
            w.half(0);
            w.word(0);
            w.half(2);
            w.half(400);
        });
        // A description without a body.
        writer.block(1, |_| {});
        writer.enhanced(0, 7, b"a", 1);
        writer.enhanced(1, 1 << 40, b"b", 1);
        writer.enhanced(2, 9, b"c", 1);
        writer.enhanced(3, 9, b"d", 1);
        // Secrets, names, statistics, a custom block, and one that nobody knows.
        for kind in [10, 4, 5, 0xbad, 0x7777_0001] {
            writer.block(kind, |w| w.words(&[1, 2, 3]));
        }
        writer.enhanced(0, 11, b"e", 1);
        let expected: [(u64, &[u8], u32); 5] =
            [(7000, b"a", 1), (7000, b"b", 1), (9000, b"c", 1), (9000, b"d", 1), (11_000, b"e", 1)];
        let (seen, problem) = read(&writer.bytes);
        assert_eq!(problem, None);
        let expected = expected.map(|(nanos, data, wire)| (nanos, data.to_vec(), wire));
        assert_eq!(seen.len(), 5);
        for (seen, expected) in seen.iter().zip(&expected) {
            assert_eq!(seen.1, expected.1);
            assert!(seen.1 == b"d" || seen.0 == expected.0, "{seen:?}");
        }
    }
}

#[test]
fn a_frame_check_sequence_in_the_link_type_does_not_matter() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    writer.bytes[23] = 0x24;
    writer.record(1, 0, b"frame", 5);
    check(&writer.bytes, &[(SECOND, b"frame", 5)]);
}
