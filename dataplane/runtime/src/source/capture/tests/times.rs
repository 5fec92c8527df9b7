//! The clock of a capture: times that run backwards, leap and pause.

use super::*;

const HOUR: u32 = 3600;

#[test]
fn times_that_run_backwards_are_told_as_they_are() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    for micros in [5000, 3000, 6000] {
        writer.record(9, micros, b"x", 1);
    }
    let start = 9 * SECOND;
    let expected = [5_000_000, 3_000_000, 6_000_000].map(|nanos| (start + nanos, &b"x"[..], 1));
    check(&writer.bytes, &expected);
    let mut source = open_bytes(&writer.bytes, Share::ALL).unwrap();
    let steps = source.steps_back();
    let mut bursts = Vec::new();
    while source.receive(Instant::EPOCH, |frames| {
        bursts.push((frames.len(), steps.load(Relaxed)));
        FrameSet::NONE
    }) != Received::End
    {}
    assert_eq!(bursts, [(1, 0), (2, 1)], "no burst has a step within");
    let times = source.findings().times;
    assert_eq!((times.backward, times.largest_step), (1, Duration::from_millis(2)));
}

/// The seconds at which packets arrive that were captured at these.
fn arrivals(captured: &[u32]) -> Vec<u32> {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    for seconds in captured {
        writer.record(*seconds, 0, b"x", 1);
    }
    let (seen, problem) = read(&writer.bytes);
    assert_eq!(problem, None);
    seen.iter().map(|(nanos, ..)| u32::try_from(nanos / SECOND).unwrap()).collect()
}

#[test]
fn a_time_that_leaps_ahead_and_is_taken_back_is_not_believed() {
    let leap = 10 + HOUR;
    assert_eq!(arrivals(&[10, 11 + leap, 11, 12]), [10, 10, 11, 12]);
    assert_eq!(arrivals(&[10, 11 + leap, 12, 13 + leap, 14]), [10, 10, 12, 12, 14]);
    for row in 1..=4 {
        let ahead = vec![11 + leap; row];
        let (captured, told) = ([&[10], &ahead[..], &[12]], vec![10; row + 1]);
        assert_eq!(arrivals(&captured.concat()), [&told[..], &[12]].concat());
        let (first, told) = ([&ahead[..], &[12, 13]], vec![12; row + 1]);
        assert_eq!(arrivals(&first.concat()), [&told[..], &[13]].concat());
    }
}

#[test]
fn a_time_that_leaps_ahead_and_stays_there_is_a_pause() {
    let leap = 10 + HOUR;
    assert_eq!(arrivals(&[10, leap + 11, leap + 12]), [10, leap + 11, leap + 12]);
    assert_eq!(arrivals(&[10, leap + 12, leap + 11]), [10, leap + 12, leap + 11], "reordered");
    assert_eq!(arrivals(&[10, leap + 11]), [10, leap + 11], "the last packet");
    assert_eq!(arrivals(&[10, 10 + HOUR, 10]), [10, 10 + HOUR, 10], "not far enough");
}

/// A clock that was set back once or more, by little or by much; captures one behind the other;
/// two clocks side by side.
#[test]
fn each_packet_has_its_own_time_whatever_the_clock_was() {
    let at = |start: u32| (0..9).map(|n| start + n).collect::<Vec<_>>();
    let day = 24 * HOUR;
    for starts in [
        &[100, 60][..],
        &[100, 60, 20],
        &[100, 60, 80, 10, 300],
        &[day, 10],
        &[10, day, 20],
        &[2 * day, day, 10],
        &[day, 10, day + 20, 30],
    ] {
        let times: Vec<_> = starts.iter().flat_map(|start| at(*start)).collect();
        assert_eq!(arrivals(&times), times);
    }
    for (a, b) in [(100, 60), (60, 100)] {
        let times: Vec<_> = at(a).into_iter().zip(at(b)).flat_map(|(a, b)| [a, b]).collect();
        assert_eq!(arrivals(&times), times);
    }
}

#[test]
fn the_packet_behind_a_leap_may_lie_beyond_the_window_and_behind_an_interface() {
    let large = vec![7; 1 << 20];
    let mut writer = Writer::new(Order::Little);
    writer.section();
    writer.interface(ETHERNET, 0, Some(0), None);
    writer.enhanced(0, 10, b"first", 5);
    writer.enhanced(0, 10 + 2 * u64::from(HOUR), &large, len(&large));
    writer.interface(ETHERNET, 0, Some(3), None);
    writer.enhanced(1, 11_000, b"last", 4);
    writer.enhanced(0, 12, b"first", 5);
    let at = |seconds| seconds * SECOND;
    check(
        &writer.bytes,
        &[
            (at(10), b"first", 5),
            (at(10), &large, len(&large)),
            (at(11), b"last", 4),
            (at(12), b"first", 5),
        ],
    );
}

#[test]
fn a_pause_passes_before_the_packet_that_ends_it() {
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    writer.record(100, 0, b"x", 1);
    writer.record(400, 0, b"y", 1);
    let mut source = open_bytes(&writer.bytes, Share::ALL).unwrap();
    assert_eq!(source.time(), Some(Instant::from_nanos(100 * SECOND)), "known before any frame");
    assert_eq!(source.receive(Instant::EPOCH, |_| FrameSet::NONE), Received::Frames(1));
    let mut turns_alone = 0;
    while source.receive(Instant::EPOCH, |_| FrameSet::NONE) == Received::Frames(0) {
        turns_alone += 1;
        let left = Instant::from_nanos(400 * SECOND).since(source.time().unwrap());
        assert!(turns_alone > 1 || left >= Duration::from_secs(149));
    }
    assert!((10..30).contains(&turns_alone), "{turns_alone}");
    assert_eq!(source.time(), Some(Instant::from_nanos(400 * SECOND)));
}
