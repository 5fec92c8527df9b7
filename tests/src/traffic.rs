//! Demo traffic through a pipe, one piece at a time: the next piece is sent when a reader of events
//! has seen the end of the last one, so that no reader is too slow.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    thread::sleep,
    time::{Duration, Instant},
};

use mos_dataplane::traffic::Conversations;

use crate::{
    hostile::{
        frame::{Segment, flags, write},
        pipe::PcapPipe,
    },
    service::Mosd,
};

/// Frames of a piece. All its events fit into the queue of a subscriber, which is 1 MiB.
const PIECE: usize = 1000;

/// The client's address of the SYN that ends each piece; its port is the number of the piece.
pub const MARKER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

/// Time until a reader has seen a piece.
const SEEN_MAX: Duration = Duration::from_secs(60);

/// Frames that are sent for each check of the reader. They carry no IP and cause no events, but
/// they complete a burst: `net_pcap` and its worker wait in the kernel until they have one.
const FILLING: usize = 64;

const LOOK: Duration = Duration::from_millis(2);

/// The traffic, and the number of pieces sent.
#[derive(Debug)]
pub struct Traffic {
    pipe: PcapPipe,
    conversations: Conversations,
    frame: Vec<u8>,
    pieces: u16,
}

impl Traffic {
    /// Starts a service with one worker, which receives this traffic. Nothing is sent yet.
    #[track_caller]
    #[must_use]
    pub fn start() -> (Self, Mosd) {
        let (pipe, mosd) = PcapPipe::start("");
        let conversations = Conversations::new(64, 1);
        (Self { pipe, conversations, frame: Vec::new(), pieces: 0 }, mosd)
    }

    /// Sends one piece after another. `seen` returns the number of the last piece whose end was
    /// seen, counted from 1, or `None` to end the traffic.
    #[track_caller]
    pub fn run(mut self, mut seen: impl FnMut() -> Option<u16>) {
        let mut since = Instant::now();
        while let Some(number) = seen() {
            if number == self.pieces {
                self.send_piece();
                since = Instant::now();
            }
            assert!(since.elapsed() < SEEN_MAX, "piece {} is not seen", self.pieces);
            for _ in 0..FILLING {
                self.pipe.send(&[0; 60]);
            }
            self.pipe.flush();
            sleep(LOOK);
        }
        self.pipe.finish();
    }

    fn send_piece(&mut self) {
        for _ in 0..PIECE {
            self.conversations.next_frame(&mut self.frame);
            self.pipe.send(&self.frame);
        }
        self.pieces += 1;
        let source = SocketAddrV4::new(MARKER, self.pieces);
        let target = SocketAddrV4::new([192, 0, 2, 1].into(), 9);
        let (options, payload) = (&[], &[]);
        let syn = Segment { source, target, seq: 1, ack: 0, flags: flags::SYN, options, payload };
        write(&mut self.frame, &syn);
        self.pipe.send(&self.frame);
    }
}
