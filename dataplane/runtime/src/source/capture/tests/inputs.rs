//! Every way of giving a capture: plain, compressed, through a pipe, for one worker and several.

use std::{
    fs::File,
    io::{self, pipe},
    os::fd::AsRawFd as _,
    thread,
};

use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
use lzma_rust2::{XzOptions, XzWriter};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const ALL: [Compression; 5] =
    [Compression::Gzip, Compression::Zstd, Compression::Xz, Compression::Bzip2, Compression::Lz4];

fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match compression {
        Compression::Gzip => {
            let mut writer = GzEncoder::new(&mut out, flate2::Compression::fast());
            writer.write_all(bytes).and_then(|()| writer.finish().map(drop)).unwrap();
        }
        Compression::Zstd => out = compress_to_vec(bytes, CompressionLevel::Fastest),
        Compression::Xz => {
            let mut writer = XzWriter::new(&mut out, XzOptions::with_preset(1)).unwrap();
            writer.write_all(bytes).and_then(|()| writer.finish().map(drop)).unwrap();
        }
        Compression::Bzip2 => {
            let mut writer = BzEncoder::new(&mut out, bzip2::Compression::fast());
            writer.write_all(bytes).and_then(|()| writer.finish().map(drop)).unwrap();
        }
        Compression::Lz4 => {
            let info = FrameInfo::new().block_size(BlockSize::Max64KB).content_checksum(true);
            let mut writer = FrameEncoder::with_frame_info(info, &mut out);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap();
        }
    }
    out
}

/// What one worker's source gives, and why it ended early.
type Read = (Vec<Seen>, Option<CaptureProblem>);

/// Reads a capture with so many workers, each on a thread of its own.
fn read_by(path: &Path, workers: u16) -> Vec<Read> {
    let interrupt = Interrupt::default();
    let sources = CaptureSource::open_all(path, workers, Wait::Sleeps, &interrupt).unwrap();
    thread::scope(|scope| {
        let read = |mut source: CaptureSource| {
            scope.spawn(move || (frames(&mut source), source.problem().cloned()))
        };
        let threads: Vec<_> = sources.into_iter().map(read).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// The frames of a source that may have none for now.
fn frames(source: &mut CaptureSource) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut handle = |frames: &[Frame<'_>]| {
        let frames = frames.iter().map(|f| (f.arrival.as_nanos(), f.bytes.to_vec(), f.wire_length));
        seen.extend(frames);
        FrameSet::NONE
    };
    while source.receive(Instant::EPOCH, &mut handle) != Received::End {}
    seen
}

fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn every_way_of_giving_a_capture_gives_the_same_frames() {
    let (bytes, _) = demo_capture(3000);
    let plain = file_of(&bytes);
    let expected = [1, 3].map(|workers| (workers, read_by(plain.path(), workers)));
    assert_eq!(expected[0].1[0].0.len(), 3000);
    let halves = bytes.split_at(bytes.len() / 2);
    for compression in ALL {
        let whole = compressed(compression, &bytes);
        // As bgzip, pzstd, xz with threads and pbzip2 write it.
        let members = [compressed(compression, halves.0), compressed(compression, halves.1)];
        for file in [file_of(&whole), file_of(&members.concat())] {
            for (workers, expected) in &expected {
                assert_eq!(read_by(file.path(), *workers), *expected, "{compression}");
            }
        }
    }
    // A zstd file may begin with a frame that is to be skipped.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 7, 7, 7][..], &compressed(ALL[1], &bytes)];
    assert_eq!(read_by(file_of(&skipped.concat()).path(), 1), expected[0].1);
}

#[test]
fn a_pipe_gives_the_same_frames_to_any_number_of_workers_however_it_is_written() {
    let (bytes, _) = demo_capture(300);
    let plain = file_of(&bytes);
    for workers in [1, 2] {
        let expected = read_by(plain.path(), workers);
        for (content, piece) in [
            (bytes.clone(), 1),
            (bytes.clone(), 5000),
            (compressed(Compression::Gzip, &bytes), 3),
            (compressed(Compression::Lz4, &bytes), 100_000),
        ] {
            let (reader, mut writer) = pipe().unwrap();
            let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
            let written = thread::spawn(move || {
                content.chunks(piece).try_for_each(|piece| writer.write_all(piece))
            });
            assert_eq!(read_by(&path, workers), expected);
            written.join().unwrap().unwrap();
        }
    }
}

#[test]
fn what_is_wrong_before_the_first_packet_is_said_of_compressed_captures_too() {
    let cases: [(Vec<u8>, &str); 5] = [
        (compressed(Compression::Gzip, b"hello, world: this is no capture"), "nor pcapng"),
        (compressed(Compression::Xz, b""), "is empty"),
        (compressed(Compression::Lz4, b"\xd4\xc3\xb2\xa1"), "ends within its header"),
        (b"\x1f\x8b\x08\x00rest".to_vec(), "the gzip data are cut off"),
        // A frame of zstd with a window of 1 GiB.
        (b"\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00".to_vec(), "further than 128 MiB"),
    ];
    for (bytes, words) in cases {
        let error = open_bytes(&bytes, Share::ALL).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_compressed_capture_that_is_cut_off_gives_what_was_readable_and_says_so() {
    let (bytes, all) = demo_capture(4000);
    for compression in ALL {
        let whole = compressed(compression, &bytes);
        for cut in [1, 5, whole.len() / 3] {
            let file = file_of(&whole[..whole.len() - cut]);
            let [(seen, problem)] = &read_by(file.path(), 1)[..] else { panic!("one worker") };
            let cause = problem.as_ref().map(|problem| problem.cause.clone());
            assert_eq!(cause, Some(ProblemCause::CompressionCut(compression)));
            assert!(seen.iter().zip(&all).all(|(seen, frame)| seen.1 == *frame), "{compression}");
            assert!(!seen.is_empty(), "{compression}");
        }
    }
}

#[test]
fn compressed_data_whose_checksum_is_wrong_are_damaged() {
    let (bytes, all) = demo_capture(500);
    for (compression, from_end) in [
        (Compression::Gzip, 8),
        (Compression::Zstd, 1),
        (Compression::Lz4, 1),
        (Compression::Bzip2, 3),
    ] {
        let mut whole = compressed(compression, &bytes);
        let at = whole.len() - from_end;
        whole[at] ^= 0x40;
        let file = file_of(&whole);
        let [(seen, problem)] = &read_by(file.path(), 1)[..] else { panic!("one worker") };
        let cause = problem.as_ref().map(|problem| problem.cause.clone());
        assert_eq!(cause, Some(ProblemCause::CompressionDamaged(compression)));
        // bzip2 gives nothing of the read that meets the checksum.
        let lost = all.len() - seen.len();
        assert!(lost == 0 || lost < 60 && compression == Compression::Bzip2, "{compression}");
    }
}

#[test]
fn a_pipe_that_nobody_writes_to_holds_nobody_up_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let interrupt = Interrupt::default();
    let mut sources = CaptureSource::open_all(&path, 2, Wait::Polls, &interrupt).unwrap();
    let idle = |source: &mut CaptureSource| {
        source.receive(Instant::EPOCH, |_| panic!("there are no frames"))
    };
    assert_eq!(idle(&mut sources[0]), Received::Nothing);
    let mut writer = File::options().write(true).open(&path).unwrap();
    let (bytes, _) = demo_capture(1);
    writer.write_all(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(sources.iter().map(CaptureSource::time).collect::<Vec<_>>(), [None, None]);
    for _ in 0..3 {
        assert_eq!(idle(&mut sources[0]), Received::Nothing);
    }
    interrupt.set();
    for source in &mut sources {
        until(|| idle(source) == Received::End);
    }
    let cause = sources[0].problem().map(|problem| problem.cause.clone());
    assert_eq!(cause, Some(ProblemCause::Interrupted));
    drop(sources);
    // The thread that reads has ended, too: nobody reads the pipe any more.
    until(|| writer.write_all(b"x").is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe));
}

fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        thread::yield_now();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_compressed_captures_come_to_an_end(
        which in 0..ALL.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (bytes, _) = demo_capture(40);
        let mut bytes = compressed(ALL[which], &bytes);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let file = file_of(&bytes);
        if let Ok(mut source) = CaptureSource::open(file.path(), Share::ALL) {
            frames(&mut source);
        }
    }
}
