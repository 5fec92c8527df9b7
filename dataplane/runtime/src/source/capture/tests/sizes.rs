//! Captures and frames larger than the window, and workers that share one.

use super::*;

#[test]
fn a_capture_much_larger_than_the_window_is_read_in_full() {
    let (bytes, frames) = demo_capture(6000);
    assert!(bytes.len() > 3 << 20);
    let mut source = open_bytes(&bytes, Share::ALL).unwrap();
    let progress = source.progress();
    let seen: Vec<_> = drain(&mut source).into_iter().map(|(_, data, _)| data).collect();
    assert_eq!(seen, frames);
    assert_eq!((progress.consumed(), progress.total()), (bytes.len() as u64, bytes.len() as u64));
}

#[test]
fn a_frame_larger_than_the_window_is_read() {
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut writer = Writer::pcap(Order::Little, 0xa1b2_c3d4, ETHERNET);
    writer.record(1, 0, b"small", 5);
    writer.record(1, 1, &large, len(&large));
    writer.record(1, 2, b"small", 5);
    check(
        &writer.bytes,
        &[(SECOND, b"small", 5), (SECOND + 1000, &large, 3_000_000), (SECOND + 2000, b"small", 5)],
    );
}

#[test]
fn workers_share_the_frames_and_see_the_same_time() {
    let (bytes, frames) = demo_capture(3000);
    let mut all = Vec::new();
    for index in 0..3 {
        let mut source = open_bytes(&bytes, Share { index, workers: 3 }).unwrap();
        all.extend(drain(&mut source));
        assert_eq!(source.time(), Some(Instant::from_nanos(SECOND + 2999)));
    }
    all.sort();
    let all: Vec<_> = all.into_iter().map(|(_, data, _)| data).collect();
    assert_eq!(all, frames, "every frame once");
}
